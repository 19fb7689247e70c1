"""The record of a run: whole or not at all, and nothing in it that should not be published."""

from __future__ import annotations

import json

import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, MUMisConfig, make_splits
from hf_unlearn.publishing.record import unlearning_record, write_record
from hf_unlearn.trainers.checks import Premise
from tests.tiny import make_dataset


def make_record(tmp_path, **request):
    splits = make_splits(DatasetDict(train=make_dataset(24)), ForgetRequest(**request), dataset_name="someone/colours")
    return unlearning_record(
        method="mu_mis",
        model_name="someone/model",
        model_revision="abc",
        splits=splits,
        args=MUMisConfig(output_dir=str(tmp_path), hub_token="hf_secret", use_cpu=True),
        steps=60,
        stop_reason="all 60 steps were made",
        seconds=1.23456,
        forget_accuracy={"before": 99.0, "after": 0.0},
        premise=Premise(3.0, 1.0, 0.5),
        agreement=0.9,
    )


def test_it_says_what_was_done(tmp_path):
    record = make_record(tmp_path, classes=("red",))
    assert record["original_model"] == {"name": "someone/model", "revision": "abc", "from_hub": True}
    assert record["premise"]["holds"] and (record["num_forget"], record["num_retain"]) == (6, 18)
    assert record["settings"]["objective"] == "matched"


@pytest.mark.parametrize(
    ("request_fields", "private"),
    [({"indices": (3, 17)}, "17"), ({"where": {"person": ("p5",)}}, "p5"), ({"classes": ("red",)}, "hf_secret")],
)
def test_no_index_no_person_no_token_no_folder(tmp_path, request_fields, private):
    record = make_record(tmp_path, **request_fields)
    without_hashes = {name: value for name, value in record.items() if name not in ("fingerprint", "versions")}
    text = json.dumps(without_hashes)
    assert private not in text and str(tmp_path) not in json.dumps(record)


def test_a_record_that_cannot_be_written_leaves_the_one_before(tmp_path):
    write_record({"a": 1}, str(tmp_path), "record.json")
    with pytest.raises(ValueError):
        write_record({"a": float("nan")}, str(tmp_path), "record.json")
    assert json.loads((tmp_path / "record.json").read_text()) == {"a": 1}
