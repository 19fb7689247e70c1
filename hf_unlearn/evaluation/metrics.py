"""Metrics as pure functions of arrays. Accuracies are in percent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# The figures whose mean absolute difference to the retrained model is the average gap.
GAP_FIGURES = ("forget_accuracy", "test_accuracy_remaining", "test_accuracy")


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
    correct = logits.argmax(axis=1) == labels
    if rows is not None:
        correct = correct[rows]
    return 100.0 * float(correct.mean()) if len(correct) else None


def average_gap(figures: Mapping[str, float | None], retrained: Mapping[str, float | None]) -> float | None:
    """Mean absolute difference to the retrained model, in points, over `GAP_FIGURES`; lower is better.

    MU-Mis's average gap (arXiv 2402.15109), with held-out data of the remaining classes for the remaining accuracy.
    None where one of the figures is missing.
    """
    pairs = [(figures.get(name), retrained.get(name)) for name in GAP_FIGURES]
    differences = [abs(ours - theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    return sum(differences) / len(differences) if len(differences) == len(GAP_FIGURES) else None
