"""A request that brings only the samples to forget: figures that need more are left out, with the reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.evaluation.report.figures import draw_plots
from hf_unlearn.evaluation.report.html import write_report
from hf_unlearn.evaluation.report.table import comparison_table, findings
from tests.tiny import make_dataset, make_model, make_processor, make_reference

TWO = {
    "original": Contestant("original", make_model(seed=1), make_processor()),
    "unlearned": Contestant("unlearned", make_model(seed=2), make_processor()),
}
REFERENCES = [
    Contestant("a", make_reference(3), make_processor()),
    Contestant("b", make_reference(4), make_processor()),
]
NEED_RETAIN = {"retain_accuracy", "tug_of_war", "average_gap_salun", "mia_entropy", "mia_confidence", "rmia_auc_retain"}
NEED_TEST = ("test_", "mia_", "rmia_", "average_gap")


@pytest.fixture(scope="module")
def whole():
    data = DatasetDict({"train": make_dataset(64), "test": make_dataset(48, seed=1)})
    return make_splits(data, ForgetRequest(classes=("red",)))


def alone(splits, test):
    kept = {} if test else {"test": None, "test_forgotten": np.zeros(0, dtype=bool), "test_split": None}
    empty = np.zeros(0, dtype=np.int64)
    request = ForgetRequest(samples="class", classes=("red",))
    return dataclasses.replace(splits, request=request, retain=None, retain_indices=empty, **kept)


def figures(splits, level="standard"):
    return compare_models(TWO, splits, REFERENCES, level=level, batch_size=16, max_retain_samples=10)


@pytest.mark.parametrize("test", [True, False], ids=["with a test set", "without"])
def test_what_needs_no_more_is_as_ever_and_the_rest_is_left_out_with_the_reason(whole, test, tmp_path):
    splits = alone(whole, test)
    assert splits.forget_kind == "class" and splits.with_retain_sample(1, 0) is splits
    full, results = figures(whole), figures(splits)
    for role in ("original", "unlearned"):
        for key, value in full["models"][role].items():
            absent = key in NEED_RETAIN or (key.startswith(NEED_TEST) and not test)
            assert results["models"][role].get(key) == (None if absent else value), key
    assert set(results["counts"]) == ({"forget", "test"} if test else {"forget"})
    assert "without the rest of the training set" in results["left_out"]["figures of the retain set"]
    assert test or "no test set" in results["left_out"]["figures of the test set"]

    # What is made from the figures is made from fewer of them, too.
    assert "forget set (FA)" in comparison_table(results) and "retain set" not in comparison_table(results)
    assert findings(results)
    assert ("confusion" in draw_plots(results)) == test
    write_report(results, str(tmp_path / "report.html"), results.strip)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "without the rest of the training set" in page
