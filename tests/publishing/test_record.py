"""The record of a run: whole or not at all, and nothing in it that should not be published."""

from __future__ import annotations

import json

import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, MUMisConfig, make_splits
from hf_unlearn.publishing.record import read_record, unlearning_record, write_record
from hf_unlearn.publishing.secrecy import published
from hf_unlearn.publishing.settings import public_arguments
from tests.tiny import make_dataset


def make_record(tmp_path, **request):
    splits = make_splits(DatasetDict(train=make_dataset(24)), ForgetRequest(**request), dataset_name="someone/colours")
    args = MUMisConfig(output_dir=str(tmp_path), hub_token="hf_secret", hub_model_id="me/x", use_cpu=True)
    return unlearning_record(
        method={"name": "mu_mis", "title": "MU-Mis", "paper": "2402.15109"},
        original={"name": "someone/model", "revision": "abc", "license": "mit", "from_hub": True},
        splits=splits,
        forget_kind=splits.forget_kind,
        num_forget=len(splits.forget),
        dataset_commit="d" * 40,
        run={"steps": 60, "stop_reason": "all 60 steps were made", "seconds": 1.235},
        settings=public_arguments(args),
        weights_sha256={"original": "a" * 64, "unlearned": "b" * 64},
        checks={"samples": 1000, "forget_accuracy": {"before": 99.0, "after": 0.0}},
    )


def test_it_says_what_was_done(tmp_path):
    record = make_record(tmp_path, classes=("red",))
    assert record["original_model"] == {"name": "someone/model", "revision": "abc", "license": "mit", "from_hub": True}
    assert (record["num_forget"], record["num_retain"], record["whole_classes"]) == (6, 18, True)
    assert record["settings"]["objective"] == "matched" and record["request"]["text"] == "the class 'red'"
    assert record["dataset"]["revision"] == "d" * 40 and "sha256" in record["dataset"]


@pytest.mark.parametrize(
    ("request_fields", "private"),
    [({"indices": (3, 17)}, "17"), ({"where": {"person": ("p5",)}}, "p5"), ({"classes": ("red",)}, "hf_secret")],
)
def test_no_index_no_person_no_token_no_folder(tmp_path, request_fields, private):
    record = published(make_record(tmp_path, **request_fields))
    without_hashes = {name: value for name, value in record.items() if name not in ("dataset", "versions")}
    text = json.dumps(without_hashes)
    assert private not in text and str(tmp_path) not in json.dumps(record)


def test_a_record_that_cannot_be_written_leaves_the_one_before(tmp_path):
    record = make_record(tmp_path, classes=("red",))
    write_record(record, str(tmp_path))
    with pytest.raises(ValueError):
        write_record({**record, "seconds": float("nan")}, str(tmp_path))
    assert read_record(str(tmp_path)) == json.loads((tmp_path / "unlearning.json").read_text()) == record
