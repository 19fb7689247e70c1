"""`hf-unlearn evaluate` and the record in a model's folder: figures of this request go into it, and no others."""

from __future__ import annotations

import json
import shutil

import pytest

from hf_unlearn.commands.main import main
from hf_unlearn.publishing.record import read_record

CPU = ["--use_cpu"]
FAST = ["--level", "fast", *CPU]


@pytest.fixture(scope="module")
def forgot_one(tmp_path_factory, saved_dataset, saved_model):
    """A model that forgot a person of the dataset, in a folder that nothing may change."""
    folder = tmp_path_factory.mktemp("person") / "forgot"
    words = ["unlearn", "--model_name_or_path", saved_model(), "--dataset_name", saved_dataset, *CPU]
    words += ["--forget_where", "person=p1", "--max_steps", "1", "--num_rounds", "1", "--output_dir", str(folder)]
    assert main(words) == 0
    return folder


@pytest.fixture
def forgot(forgot_one, tmp_path):
    return shutil.copytree(forgot_one, tmp_path / "forgot")


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def evaluate(folder, dataset, *flags):
    return main(["evaluate", "--model", str(folder), "--dataset_name", dataset, *FAST, *flags])


def test_figures_of_its_own_request_go_into_record_and_card(forgot, saved_dataset, capsys):
    assert evaluate(forgot, saved_dataset, "--forget_where", "person=p1") == 0
    assert "record and card" in capsys.readouterr().out
    record = read_record(str(forgot))
    assert record["evaluation"]["models"]["unlearned"]["forget_accuracy"] is not None
    assert '"forget_accuracy"' not in (forgot / "unlearning.json").read_text(), "whose they were is nobody's business"
    # The same samples in other words.
    assert (
        evaluate(forgot, saved_dataset, "--forget_indices", *map(str, range(1, 48, 6)), "--overwrite_output_dir") == 0
    )
    assert "have these figures" in capsys.readouterr().out


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("request_", [("--forget_where", "person=p2"), ("--forget_classes", "red")])
def test_figures_of_another_request_are_refused_and_nothing_is_written(
    forgot, saved_dataset, tmp_path, capsys, request_, elsewhere
):
    before = contents(tmp_path)
    out = ["--output_dir", str(tmp_path / "results")] if elsewhere else ["--overwrite_output_dir"]
    assert evaluate(forgot, saved_dataset, *request_, *out) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "another set: the samples with given values of 'person' (8 samples)" in line and "--other_request" in line
    assert contents(tmp_path) == before and not (tmp_path / "results").exists()


def test_asked_for_they_are_had_but_not_put_into_the_record(forgot, saved_dataset, tmp_path, capsys):
    before = contents(forgot)
    flags = ["--forget_where", "person=p2", "--other_request", "--output_dir", str(tmp_path / "results")]
    assert evaluate(forgot, saved_dataset, *flags) == 0
    assert f"left as they are: {str(forgot)!r} is of another request" in capsys.readouterr().out
    assert contents(forgot) == before and (tmp_path / "results" / "results.json").is_file()


def test_where_nobody_can_tell_the_record_is_left_alone_and_it_is_said(forgot, saved_dataset, tmp_path, capsys):
    # As of a model that came from the Hub.
    (forgot / "forget_set.json").unlink()
    before = contents(forgot)
    flags = ["--forget_where", "person=p2", "--output_dir", str(tmp_path / "results")]
    assert evaluate(forgot, saved_dataset, *flags) == 0
    assert f"left as they are: {str(forgot)!r} does not say for certain" in capsys.readouterr().out
    assert contents(forgot) == before


def test_a_reference_of_another_request_is_refused(forgot, saved_dataset, tmp_path, capsys):
    start = ["train", "--dataset_name", saved_dataset, "--model_type", "resnet", "--image_size", "16", *CPU]
    start += ["--config_overrides", '{"depths":[1],"hidden_sizes":[8],"embedding_size":8}', "--max_steps", "1"]
    for person in ("p1", "p2"):
        out = str(tmp_path / person)
        assert main([*start, "--forget_where", f"person={person}", "--output_dir", out]) == 0
    capsys.readouterr()
    flags = ["--forget_where", "person=p1", "--reference_model"]
    assert evaluate(forgot, saved_dataset, *flags, str(tmp_path / "p2")) == 2
    assert "the reference model" in capsys.readouterr().err
    assert evaluate(forgot, saved_dataset, *flags, str(tmp_path / "p1")) == 0
    # Trained over it on everything, it is a reference of nothing.
    assert main([*start, "--output_dir", str(tmp_path / "p2"), "--overwrite_output_dir"]) == 0
    assert not (tmp_path / "p2" / "forget_set.json").exists()


def test_a_record_that_cannot_be_read_is_refused_before_the_work(forgot, saved_dataset, capsys):
    (forgot / "unlearning.json").write_text('{"schema_version": 1}')
    before = contents(forgot)
    assert evaluate(forgot, saved_dataset, "--forget_where", "person=p1") == 2
    assert "schema version 1" in capsys.readouterr().err and contents(forgot) == before


def test_figures_of_another_model_are_not_put_into_a_record_from_python(forgot, saved_dataset, tmp_path):
    from datasets import DatasetDict

    from hf_unlearn import ForgetRequest, UnlearningError, compare, make_splits, record_evaluation

    splits = make_splits(DatasetDict.load_from_disk(saved_dataset), ForgetRequest(where={"person": "p1"}))
    copy = shutil.copytree(forgot, tmp_path / "copy")
    results = compare(copy, splits=splits, level="fast")
    before = contents(forgot)
    with pytest.raises(UnlearningError, match="copy', not of the model in"):
        record_evaluation(forgot, results)
    assert contents(forgot) == before
    record_evaluation(copy, results)
    assert json.loads((copy / "unlearning.json").read_text())["evaluation"]["level"] == "fast"
