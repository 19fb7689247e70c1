"""What plots are drawn from: counts and rates, none of which tells of a single sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hf_unlearn.evaluation.attacks.probing import Probed, unseen_rows
from hf_unlearn.evaluation.attacks.rmia import roc_curve
from hf_unlearn.evaluation.logits import label_columns
from hf_unlearn.evaluation.metrics.accuracies import confusion
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.request import UnlearningSplits

BINS = 20
MOST_LABELS = 50
# Shares of fewer samples would tell of single ones.
LEAST_SAMPLES = 10


def make_curves(
    samples: Mapping[str, Mapping[str, SampleFigures]], probed: Probed, splits: UnlearningSplits
) -> dict[str, Any]:
    """Per-class accuracy, histograms, ROC and confusion by role; of the retrained models the first one's."""
    shown = {"retrained" if role == "reference 1" else role: role for role in samples}
    shown = {name: role for name, role in shown.items() if not name.startswith("reference")}
    taken = next(iter(samples.values()))
    split = next((name for name in ("test", "retain") if name in taken), None)
    names = [splits.label_names[label] for label in label_columns(splits)]
    curves: dict[str, Any] = {"split": split, "labels": names}
    if split is not None and len(names) <= MOST_LABELS:
        matrices = {
            name: confusion(samples[role][split].predicted, samples[role][split].labels, len(names))
            for name, role in shown.items()
        }
        curves["confusion"] = {name: matrix.tolist() for name, matrix in matrices.items()}
        curves["per_class_accuracy"] = {name: _diagonal(matrix) for name, matrix in matrices.items()}
    curves["confidence"] = _confidences(samples, shown, splits)
    if probed.sensitivities:
        chosen = {name: probed.sensitivities[role].target for name, role in shown.items()}
        if "unseen" in probed.sensitivities:
            chosen["unseen"] = probed.sensitivities["unseen"].target
        curves["sensitivity"] = _log_histogram(chosen)
    # One attack for all curves of the plot: RMIA where every model has it.
    has_rmia = bool(probed.rmia) and all(role in probed.rmia for role in shown.values())
    scores = probed.rmia if has_rmia else probed.losses
    curves["roc_attack"] = "RMIA" if has_rmia else "loss"
    curves["roc"] = {
        name: roc_curve(*scores[role])
        for name, role in shown.items()
        if role in scores and min(map(len, scores[role])) >= LEAST_SAMPLES
    }
    return curves


def _diagonal(matrix: np.ndarray) -> list[float | None]:
    return [
        round(100.0 * float(row[label]) / float(row.sum()), 2) if row.sum() else None
        for label, row in enumerate(matrix)
    ]


def _confidences(
    samples: Mapping[str, Mapping[str, SampleFigures]], shown: Mapping[str, str], splits: UnlearningSplits
) -> dict[str, Any]:
    edges = np.linspace(0, 1, BINS + 1)
    parts = {name: samples[role]["forget"].confidence for name, role in shown.items()}
    first = next(iter(shown.values()))
    if "test" in samples[first]:
        parts["unseen"] = samples[first]["test"].confidence[unseen_rows(splits)]
    return _histogram(parts, edges)


def _log_histogram(parts: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Shares by decimal logarithm."""
    logs = {name: np.log10(np.maximum(values, 1e-30)) for name, values in parts.items()}
    together = np.concatenate(list(logs.values()))
    low, high = np.quantile(together, [0.005, 0.995])
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    return _histogram({name: values.clip(low, high) for name, values in logs.items()}, edges)


def _histogram(parts: Mapping[str, np.ndarray], edges: np.ndarray) -> dict[str, Any]:
    """Shares of each part between the edges; nothing at all where every part is too small to be told of."""
    shares = {
        name: (np.histogram(values, edges)[0] / len(values)).round(4).tolist()
        for name, values in parts.items()
        if len(values) >= LEAST_SAMPLES
    }
    return {"edges": edges.round(4).tolist(), **shares} if shares else {}
