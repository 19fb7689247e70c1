"""What a trainer is given, and what follows from it."""

from __future__ import annotations

import inspect

import pytest
import torch
from datasets import DatasetDict
from transformers import PrinterCallback, TrainingArguments

import hf_unlearn
from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningError, load_image_classifier, make_splits
from hf_unlearn.data.pixels import PixelDataset, pixels_of
from hf_unlearn.trainers.registry import METHODS
from tests.tiny import LABELS, make_dataset, make_model, make_processor
from tests.trainers.methods.test_mu_mis import weights
from tests.trainers.runs import RETAINING, WITH_UNSEEN

RED = {"classes": ("red",)}


@pytest.fixture
def splits():
    return make_splits(DatasetDict(train=make_dataset(32), test=make_dataset(12, seed=1)), ForgetRequest(**RED))


def config(tmp_path, cls=MUMisConfig, **settings):
    return cls(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, **settings)


def make(tmp_path, name="mu_mis", model=None, settings=None, **given):
    method = METHODS[name]
    args = config(tmp_path, getattr(hf_unlearn, method.config), **settings or {})
    trainer = getattr(hf_unlearn, method.trainer)(
        make_model() if model is None else model, args, **{"processing_class": make_processor(), **given}
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def test_model_and_splits_are_enough(tmp_path, monkeypatch, saved_model, splits):
    monkeypatch.chdir(tmp_path)
    trainer = MUMisTrainer(saved_model("resnet"), splits=splits)
    assert trainer.args.output_dir == "trainer_output" and trainer.forget_kind == "class"
    assert trainer.train_dataset.source is splits.forget
    assert trainer.processing_class.to_dict() == make_processor().to_dict()


def test_the_splits_columns_and_labels_lead(tmp_path):
    data = make_dataset(32).rename_columns({"image": "picture", "label": "colour"})
    data = data.add_column("other", data["colour"]).cast_column("other", data.features["colour"])
    splits = make_splits(DatasetDict(train=data), ForgetRequest(**RED), label_column_name="colour")
    turned = make_model(label_names=LABELS[::-1])
    trainer = make(tmp_path, model=turned, splits=splits, eval_dataset={"forget": splits.forget, "other": data})
    assert trainer.train_dataset[0]["labels"] == 3, "red is the model's last class"
    assert {name: len(part) for name, part in trainer.eval_dataset.items()} == {"forget": 8, "other": 32}


@pytest.mark.parametrize("name", RETAINING)
def test_methods_that_need_retained_samples_take_them_from_the_splits(tmp_path, splits, name):
    unseen = {"reference_dataset": make_dataset(40, seed=5)} if name in WITH_UNSEEN else {}
    trainer = make(tmp_path, name, splits=splits, **unseen)
    assert trainer.retain_dataset.source is splits.retain and len(trainer.retain_dataset) == 24


def test_methods_that_do_not_are_shown_none(tmp_path, splits):
    assert make(tmp_path, splits=splits).retain_dataset is None


def test_the_splits_own_sets_may_be_given_read_already(tmp_path, splits):
    model, processor = make_model(), make_processor()
    forget, retain = (pixels_of(splits, part, model, processor).preload() for part in ("forget", "retain"))
    trainer = make(tmp_path, "fine_tune", model, splits=splits, train_dataset=forget, retain_dataset=retain)
    assert trainer.train_dataset is forget and trainer.retain_dataset is retain
    assert make(tmp_path, splits=splits, train_dataset=splits.forget).train_dataset.source is splits.forget


@pytest.mark.parametrize("name", ["train_dataset", "retain_dataset"])
def test_other_sets_than_the_splits_are_refused(tmp_path, splits, name):
    with pytest.raises(UnlearningError, match=f"{name} is not the .* set of the splits"):
        make(tmp_path, "fine_tune", splits=splits, **{name: make_dataset(8)})
    with pytest.raises(UnlearningError, match=f"{name} is not the .* set of the splits"):
        make(tmp_path, "delete", splits=splits, **{name: make_dataset(8)})
    other = make_splits(DatasetDict(train=make_dataset(32)), ForgetRequest(**RED))
    pixels = pixels_of(other, "forget", make_model(), make_processor())
    with pytest.raises(UnlearningError, match="train_dataset is not"):
        make(tmp_path, splits=splits, train_dataset=pixels)


@pytest.mark.parametrize("name", METHODS)
def test_what_the_samples_are_is_never_guessed(tmp_path, name):
    with pytest.raises(UnlearningError, match="'class' .*, 'subclass' .*, 'subset' ") as caught:
        make(tmp_path, name, train_dataset=make_dataset(8), retain_dataset=make_dataset(8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"forget_kind": "classes"}, "forget_kind 'classes' is not one of 'class', 'subclass', 'subset'"),
        ({"forget_kind": "subset", "splits": True}, "forget_kind is 'subset', but by the splits it is 'class'"),
        ({"train_dataset": None, "forget_kind": "class"}, "there is nothing to forget"),
        ({"splits": "forget"}, "splits is a str; expected UnlearningSplits"),
        ({"forget_kind": ["class"]}, r"forget_kind \['class'\] is not one of"),
        ({"model": 3, "forget_kind": "class"}, "a model of type int"),
    ],
)
def test_contradictions_are_one_line(tmp_path, splits, given, message):
    if given.get("splits") is True:
        given = {**given, "splits": splits}
    with pytest.raises(UnlearningError, match=message) as caught:
        make(tmp_path, **{"train_dataset": None if "splits" in given else make_dataset(8), **given})
    assert "\n" not in str(caught.value)


def test_the_kind_may_be_said_besides_splits_that_agree(tmp_path, splits):
    assert make(tmp_path, splits=splits, forget_kind="class").forget_kind == "class"


def test_the_old_order_of_arguments_names_the_new_one(tmp_path):
    with pytest.raises(UnlearningError, match=r"splits is a Dataset; .* train_dataset=\.\.\., with forget_kind"):
        MUMisTrainer(make_model(), config(tmp_path), make_dataset(8))


def test_a_config_of_another_method_is_refused(tmp_path, splits):
    with pytest.raises(UnlearningError, match="args is a TrainingArguments; expected a MUMisConfig"):
        MUMisTrainer(make_model(), TrainingArguments(str(tmp_path), use_cpu=True), splits)
    with pytest.raises(UnlearningError, match="args is a MUMisConfig; expected a DeleteConfig"):
        hf_unlearn.DeleteTrainer(make_model(), config(tmp_path), splits)


@pytest.mark.parametrize("name", METHODS)
def test_the_signature_spells_its_arguments_out(name):
    parameters = inspect.signature(getattr(hf_unlearn, METHODS[name].trainer)).parameters
    assert list(parameters)[:4] == ["model", "args", "splits", "train_dataset"]
    kinds = {parameter.kind for parameter in parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    documented = hf_unlearn.UnlearningTrainer.__doc__
    assert all(parameter in documented for parameter in parameters)


def test_splits_and_samples_make_the_same_run(tmp_path, splits):
    ends = []
    for given in ({"splits": splits}, {"train_dataset": splits.forget, "forget_kind": "class"}):
        trainer = make(tmp_path, settings={"max_steps": 3, "stop_rule": "steps"}, **given)
        trainer.find_damage = lambda: None
        trainer.train()
        ends.append(weights(trainer))
    assert torch.equal(*ends)


def test_the_processor_is_that_of_the_pixels_or_comes_with_the_model(tmp_path, saved_model, splits):
    model = load_image_classifier(saved_model("resnet"))
    found = make(tmp_path, model=model, splits=splits, processing_class=None)
    assert found.processing_class.to_dict() == make_processor().to_dict()
    pixels = PixelDataset(make_dataset(8), make_processor(), "image", "label", range(4))
    given = {"train_dataset": pixels, "processing_class": None, "forget_kind": "subset"}
    assert make(tmp_path, **given).processing_class is pixels.image_processor


def test_a_model_in_memory_wants_its_processor(tmp_path, splits):
    with pytest.raises(UnlearningError, match="processing_class is None"):
        make(tmp_path, splits=splits, processing_class=None)


@pytest.mark.parametrize("kind", ["class", "subset"])
def test_the_record_knows_what_was_said(tmp_path, kind):
    record = make(tmp_path, train_dataset=make_dataset(8), forget_kind=kind).record()
    assert record["whole_classes"] == (kind == "class") and record["request"] is None
