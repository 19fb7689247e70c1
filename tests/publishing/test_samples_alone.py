"""What is published of a request that brought the samples to forget alone: nothing that names them."""

from __future__ import annotations

import json
import shlex

import pytest

from hf_unlearn import MUMisConfig, MUMisTrainer, forget_splits, load_image_dataset
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.publishing.card import reproduction, write_card
from hf_unlearn.publishing.record import add_evaluation, read_record, write_record
from tests.tiny import make_dataset, make_model, make_processor


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jane-doe")
    for number, image in enumerate(make_dataset(8)[:]["image"]):
        image.save(folder / f"wedding-{number}.jpg")
    return folder


def forgotten(tmp_path, folder, kind, test=None):
    splits = forget_splits(load_image_dataset(str(folder)), kind, forget_label="green", test=test)
    args = MUMisConfig(
        str(tmp_path / "out"), max_steps=2, num_rounds=1, use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False
    )
    trainer = MUMisTrainer(make_model(), args, splits, processing_class=make_processor())
    trainer.train()
    trainer.save_model()
    return splits, tmp_path / "out"


@pytest.mark.parametrize("kind", ["class", "subset"])
def test_record_and_card_name_no_sample(photographs, tmp_path, kind):
    splits, folder = forgotten(tmp_path, photographs, kind)
    record, card = read_record(str(folder)), (folder / "README.md").read_text()
    assert record["request"]["kind"] == "samples" and record["request"]["samples"] == kind
    assert (record["num_forget"], record["num_retain"], record["whole_classes"]) == (8, None, kind == "class")
    assert set(record["checks"]) == {"samples", "forget_accuracy"}
    record = json.loads((folder / "unlearning.json").read_text())
    assert (record["num_forget"], record["num_forget_band"], record["whole_classes"]) == (
        *(None, "fewer than 1,000"),
        kind == "class",
    )
    assert set(record["checks"]) == {"samples"} and "There was no test set" in card
    published = json.dumps(record) + card
    for secret in ("wedding", "jane-doe", splits.fingerprint.sha256, splits.fingerprint.id):
        assert secret not in published
    # A class that vanished is named; what someone's samples are called is not.
    named = {name: value for name, value in record.items() if name not in ("settings", "weights_sha256")}
    assert ("green" in json.dumps(named)) == ("'green'" in card) == (kind == "class")
    assert "no sample but those to forget was there" in card
    words = shlex.split(reproduction(record))
    assert words[words.index("--forget_dataset") + 1] == "DATASET" and "--dataset_name" not in words
    assert words[words.index("--forget_kind") + 1] == kind
    assert words[words.index("--forget_label") + 1] == ("green" if kind == "class" else "LABEL")


def test_an_evaluation_goes_into_them(photographs, tmp_path):
    splits, folder = forgotten(tmp_path, photographs, "class", make_dataset(12, seed=1))
    record = read_record(str(folder))
    assert "test_accuracy_remaining" in record["checks"]
    assert "no sample but those to forget" not in (folder / "README.md").read_text()
    both = {
        role: Contestant(role, make_model(seed=seed), make_processor())
        for role, seed in (("original", 0), ("unlearned", 1))
    }
    bare = forget_splits(load_image_dataset(str(photographs)), "class", forget_label="green")
    for used, untested in ((bare, True), (splits, False)):
        results = compare_models(both, used)
        # Of eight samples no histogram is drawn.
        assert results["curves"]["confidence"] == {}
        add_evaluation(record, results)
        write_record(record, str(folder))
        write_card(str(folder))
        card = (folder / "README.md").read_text()
        assert ("no sample but those to forget" in card) == untested
        # Of the class that vanished everybody may know; not of how its samples alone are answered.
        assert ("| test set, forgotten |" in card) != untested and "| forget set (FA) |" not in card
