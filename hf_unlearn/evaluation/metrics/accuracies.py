"""Accuracies, and one number for the distance to a retrained model. Pure functions; accuracies are in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# The figures whose mean absolute difference to the retrained model is the average gap.
GAP_FIGURES = ("forget_accuracy", "test_accuracy_remaining", "test_accuracy")
SALUN_GAP_FIGURES = ("unlearning_accuracy", "retain_accuracy", "test_accuracy", "mia_confidence")
TUG_OF_WAR_FIGURES = ("forget_accuracy", "retain_accuracy", "test_accuracy")

Figures = Mapping[str, float | None]


def accuracy(logits: np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None) -> float | None:
    """Share of samples whose largest logit is their label's, in percent.

    Args:
        logits: `(samples, num_labels)`.
        labels: `(samples,)`, class ids of the model.
        rows: boolean `(samples,)`: count these only.

    Returns:
        Percent; None where there is no sample to count.

    Raises:
        ValueError: a logit is not a number.
    """
    if np.isnan(logits).any():
        raise ValueError("logits hold NaN; expected numbers")
    return percent(logits.argmax(axis=1) == labels, rows)


def percent(correct: np.ndarray, rows: np.ndarray | None = None) -> float | None:
    """Share of True in percent, of boolean `(samples,)`, counting `rows` only; None where there is nothing to count."""
    counted = correct if rows is None else correct[rows]
    return 100.0 * float(counted.mean()) if len(counted) else None


def siblings(labels: np.ndarray, forgotten: np.ndarray) -> np.ndarray:
    """Samples of a label of which a part was forgotten that are of another part, boolean `(samples,)`.

    Where a sub-class is forgotten, their accuracy says what that cost those it is most like; the average gap does not.

    Args:
        labels: of held-out samples, `(samples,)`.
        forgotten: which of them are of what was forgotten, boolean `(samples,)`.
    """
    return np.isin(labels, np.unique(labels[forgotten])) & ~forgotten


def unlearning_accuracy(forget_accuracy: float | None) -> float | None:
    """UA of SalUn's tables (arXiv 2310.12508): 100 − forget accuracy, percent."""
    return None if forget_accuracy is None else 100.0 - forget_accuracy


def average_gap(figures: Figures, retrained: Figures, names: Sequence[str] = GAP_FIGURES) -> float | None:
    """Mean absolute difference to the retrained model, in points, over the figures `names`; lower is better.

    Two definitions are in use and not comparable. MU-Mis's (arXiv 2402.15109) is the default, over `GAP_FIGURES`,
    with held-out data of the remaining classes for the remaining accuracy. SalUn's (arXiv 2310.12508) is over
    `SALUN_GAP_FIGURES`. None where one of the figures is missing.
    """
    pairs = [(figures.get(name), retrained.get(name)) for name in names]
    differences = [abs(ours - theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    return sum(differences) / len(differences) if len(differences) == len(names) else None


def tug_of_war(figures: Figures, retrained: Figures) -> float | None:
    """ToW (arXiv 2406.01257): the product of 1 − |difference to the retrained model| over forget, retain and test.

    Accuracies are taken in percent; the result lies between 0 and 1, and 1 is best. None where a figure is missing.
    """
    product = 1.0
    for name in TUG_OF_WAR_FIGURES:
        ours, theirs = figures.get(name), retrained.get(name)
        if ours is None or theirs is None:
            return None
        product *= 1.0 - abs(ours - theirs) / 100.0
    return product


def runtime_ratio(unlearning_seconds: float, retraining_seconds: float) -> float:
    """RTE as a ratio: wall-clock time of unlearning over that of retraining; lower is better.

    Raises:
        ValueError: a time is not positive.
    """
    if not (unlearning_seconds > 0 and retraining_seconds > 0):
        raise ValueError(f"times are {unlearning_seconds} and {retraining_seconds} s; expected more than 0")
    return unlearning_seconds / retraining_seconds


def confusion(predicted: np.ndarray, labels: np.ndarray, num_labels: int) -> np.ndarray:
    """Counts by label (row) and prediction (column): int64 `(num_labels, num_labels)`.

    Predictions of other classes are in one more column, the last, if there are any.
    """
    from sklearn.metrics import confusion_matrix

    classes = range(num_labels + 1)
    counts = confusion_matrix(labels, np.minimum(predicted, num_labels), labels=classes)[:num_labels]
    return counts if counts[:, -1].any() else counts[:, :-1]
