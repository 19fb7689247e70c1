"""Metrics against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.evaluation.metrics.accuracies import (
    GAP_FIGURES,
    SALUN_GAP_FIGURES,
    accuracy,
    average_gap,
    confusion,
    runtime_ratio,
    siblings,
    tug_of_war,
    unlearning_accuracy,
)

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0], [9.0, 0.0, 0.0]])


def test_accuracy_by_hand():
    assert accuracy(LOGITS, np.array([0, 1, 2, 1])) == 75.0
    assert accuracy(LOGITS, np.array([0, 1, 2, 1]), np.array([True, False, False, True])) == 50.0


def test_no_sample_no_accuracy():
    assert accuracy(LOGITS, np.array([0, 1, 2, 1]), np.zeros(4, bool)) is None
    assert accuracy(np.empty((0, 3)), np.empty(0, int)) is None


def test_nan_logits_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        accuracy(np.array([[np.nan, 1.0]]), np.array([1]))


@given(order=st.permutations(range(4)))
def test_the_order_of_samples_does_not_matter(order):
    labels = np.array([0, 1, 2, 1])
    assert accuracy(LOGITS[order], labels[order]) == accuracy(LOGITS, labels)


def test_average_gap_by_hand():
    ours = {"forget_accuracy": 3.0, "test_accuracy_remaining": 88.0, "test_accuracy": 80.0, "retain_accuracy": 1.0}
    retrained = {"forget_accuracy": 0.0, "test_accuracy_remaining": 90.0, "test_accuracy": 81.0}
    assert average_gap(ours, retrained) == pytest.approx((3 + 2 + 1) / 3)


@given(values=st.lists(st.floats(0, 100), min_size=3, max_size=3))
def test_no_gap_to_itself(values):
    figures = dict(zip(GAP_FIGURES, values, strict=True))
    assert average_gap(figures, figures) == 0


@pytest.mark.parametrize("missing", GAP_FIGURES)
def test_no_gap_where_a_figure_is_missing(missing):
    figures = dict.fromkeys(GAP_FIGURES, 50.0)
    assert average_gap({**figures, missing: None}, figures) is None


def test_the_second_gap_is_salun_s():
    ours = {"unlearning_accuracy": 97.0, "retain_accuracy": 99.0, "test_accuracy": 80.0, "mia_confidence": 90.0}
    theirs = {"unlearning_accuracy": 100.0, "retain_accuracy": 100.0, "test_accuracy": 84.0, "mia_confidence": 98.0}
    assert average_gap(ours, theirs, SALUN_GAP_FIGURES) == pytest.approx((3 + 1 + 4 + 8) / 4)
    assert average_gap({**ours, "mia_confidence": None}, theirs, SALUN_GAP_FIGURES) is None


def test_unlearning_accuracy_is_the_rest():
    assert unlearning_accuracy(3.0) == 97.0 and unlearning_accuracy(None) is None


def test_tug_of_war_by_hand():
    ours = {"forget_accuracy": 10.0, "retain_accuracy": 90.0, "test_accuracy": 80.0}
    theirs = {"forget_accuracy": 0.0, "retain_accuracy": 100.0, "test_accuracy": 100.0}
    assert tug_of_war(ours, theirs) == pytest.approx(0.9 * 0.9 * 0.8)
    assert tug_of_war(theirs, theirs) == 1
    assert tug_of_war({**ours, "test_accuracy": None}, theirs) is None


@given(values=st.lists(st.floats(0, 100), min_size=6, max_size=6))
def test_tug_of_war_lies_between_nothing_and_one(values):
    names = ("forget_accuracy", "retain_accuracy", "test_accuracy")
    ours, theirs = dict(zip(names, values[:3], strict=True)), dict(zip(names, values[3:], strict=True))
    assert 0 <= tug_of_war(ours, theirs) <= 1
    assert tug_of_war(ours, theirs) == tug_of_war(theirs, ours)


def test_runtime_ratio():
    assert runtime_ratio(5.0, 20.0) == 0.25
    for seconds in ((0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="expected more than 0"):
            runtime_ratio(*seconds)


def test_confusion_counts_label_by_answer():
    matrix = confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_answers_of_other_classes_are_one_more_column_and_no_right_ones():
    matrix = confusion(np.array([0, 3, 4, 1]), np.array([0, 0, 1, 1]), 3)
    assert matrix.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]]


def test_siblings_are_of_the_label_and_of_another_part():
    labels = np.array([0, 0, 1, 1, 2, 2])
    forgotten = np.array([True, False, False, False, True, True])
    assert siblings(labels, forgotten).tolist() == [False, True, False, False, False, False]
    assert not siblings(labels, np.zeros(6, dtype=bool)).any()
