"""The control *head only*: the recorded run once more, with every weight but the head's as it was."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from datasets import DatasetDict

import hf_unlearn
from hf_unlearn import ForgetRequest, MUMisConfig, UnlearningError, compare, make_splits, unlearn_head_only
from hf_unlearn.publishing.settings import public_arguments
from hf_unlearn.trainers.head_only import _ELSEWHERE, _recorded
from tests.tiny import make_dataset, make_model, make_processor


@pytest.fixture(scope="module")
def splits():
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    return make_splits(data, ForgetRequest(classes=("red",)))


def run(splits, tmp_path, method="MUMis", **settings):
    """The record of a short run, as it is read back from its file."""
    args = getattr(hf_unlearn, f"{method}Config")(
        output_dir=str(tmp_path),
        max_steps=3,
        stop_rule="steps",
        learning_rate=1e-3 if method == "MUMis" else 1e-5,
        use_cpu=True,
        report_to=[],
        **settings,
    )
    trainer = getattr(hf_unlearn, f"{method}Trainer")(
        make_model(), args, splits=splits, processing_class=make_processor()
    )
    trainer.train()
    return json.loads(json.dumps(trainer.record())), trainer


@pytest.mark.parametrize("method", ["MUMis", "GradientAscent", "FineTune", "Delete"])
def test_only_the_head_changes(splits, tmp_path, method):
    record, _ = run(splits, tmp_path, method)
    original = make_model()
    before = copy.deepcopy(original.state_dict())
    control = unlearn_head_only(record, original, make_processor(), splits, use_cpu=True)
    changed = {name for name, value in control.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= {"classifier.1.weight", "classifier.1.bias"}
    assert "classifier.1.weight" in changed
    assert all(torch.equal(value, before[name]) for name, value in original.state_dict().items())
    assert not control.training and all(parameter.requires_grad for parameter in original.parameters())


def test_the_settings_are_those_of_the_record(splits, tmp_path):
    record, trainer = run(splits, tmp_path, alpha_target=0.7, seed=7)
    assert record["settings"]["label_shift"] == "inf"
    config = type(trainer.args)
    again = public_arguments(_recorded(config, record["settings"], str(tmp_path), use_cpu=True))
    assert {name: value for name, value in again.items() if not name.startswith(_ELSEWHERE)} == {
        name: value for name, value in record["settings"].items() if not name.startswith(_ELSEWHERE)
    }


def test_its_features_are_the_originals(tmp_path):
    data = DatasetDict({"train": make_dataset(480), "test": make_dataset(80, seed=1)})
    splits = make_splits(data, ForgetRequest(classes=("red",)))
    record, trainer = run(splits, tmp_path)
    original = make_model()
    control = unlearn_head_only(record, original, make_processor(), splits, use_cpu=True)
    results = compare(
        trainer.model,
        original=original,
        head_only=control,
        splits=splits,
        processing_class=make_processor(),
        level="deep",
    )
    models = results["models"]
    assert list(models) == ["original", "masked", "head_only", "unlearned"]
    for key in ("forget_cosine", "linear_probe"):
        assert models["head_only"][key] == pytest.approx(models["original"][key], abs=1e-6)
    assert models["head_only"]["forget_cosine"] != pytest.approx(models["unlearned"]["forget_cosine"], abs=1e-9)
    assert models["head_only"]["weight_distance"] > 0 and "head only" in str(results)
    alone = compare(
        trainer.model, splits=splits, processing_class=make_processor(), level="deep", max_retain_samples=40
    )
    assert "unlearn_head_only" in alone["left_out"]["head only"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": None}, "names no method"),
        ({"settings": None}, "names no method with its settings"),
        ({"method": {"name": "retrain"}}, "'retrain' makes all weights anew"),
        ({"method": {"name": "magic"}}, "method 'magic' is not known"),
        ({"adapter": {"kind": "LORA"}}, "an adapter; expected one of a whole model"),
        ({"weights_sha256": {"original": "0" * 64}}, "other weights"),
        ({"settings": {"stop_rule": "unseen"}}, "reference samples"),
        ({"data_used": "the samples to forget and reference samples"}, "reference samples"),
        ({"data_used": "the samples to forget, all retained data and reference samples"}, "reference samples"),
        ({}, "keeps its seed"),
    ],
)
def test_what_cannot_be_run_again_is_named(splits, change, named):
    record = {"method": {"name": "mu_mis"}, "settings": {}, "adapter": None, **change}
    with pytest.raises(UnlearningError, match=named):
        unlearn_head_only(record, make_model(), make_processor(), splits)


def test_a_method_that_needs_retained_samples_does_not_go_without(splits):
    from dataclasses import replace

    record = {"method": {"name": "fine_tune"}, "settings": {}}
    with pytest.raises(UnlearningError, match="'fine_tune' needs the samples that stay"):
        unlearn_head_only(record, make_model(), make_processor(), replace(splits, retain=None))


@pytest.mark.parametrize("recorded, expected", [({}, 0.0), ({"features_weight": 5.0}, 5.0)])
def test_a_record_of_before_features_were_moved_moves_none(tmp_path, recorded, expected):
    assert _recorded(MUMisConfig, {"seed": 3, **recorded}, str(tmp_path), True).features_weight == expected
