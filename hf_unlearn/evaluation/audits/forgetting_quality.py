"""The forgetting quality of the NeurIPS 2023 unlearning competition: an ε a sample, and a score (arXiv 2406.09073)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from hf_unlearn.evaluation.audits.margins import check_margins

DELTA = 1e-5
# What an infinite ε is reported as.
MOST_EPSILON = 50.0
# An ε in the first bucket scores 1, in the next ½, then ¼ ...
BUCKET = 0.5
# Cells of samples × thresholds that are looked at together.
_CELLS = 4_000_000
# The reference code's grids: thresholds a unit of margin, how far windows reach beyond the narrower side's range, and
# the ratio of ranges below which a sample is given up without looking.
_PER_UNIT, _BEYOND, _PEAKED = 100, 2.0, 0.01


def example_epsilons(unlearned: np.ndarray, retrained: np.ndarray, reference_compatible: bool = False) -> np.ndarray:
    """For each sample the largest ε that its margins prove: how well they tell unlearned from retrained models.

    Over all decision rules of two families, ε = max(log(1 − δ − FPR) − log FNR, log(1 − δ − FNR) − log FPR), δ = 1e-5,
    at least 0. *One threshold*: a margin at or above it is of the side whose median is larger. *Two thresholds*: what
    lies between is of the side whose margins have the smaller range. A rule with exactly one rate of 0 is left out
    (there are too few models to know the other), one with both 0 gives `MOST_EPSILON`. Thresholds lie at the margins
    themselves: others decide nothing else.

    Args:
        unlearned: margins (logit-scaled confidences) of N unlearned models on forget samples, `(N, samples)`.
        retrained: of N models retrained without them, `(N, samples)`.
        reference_compatible: as the competition's code does (google-deepmind/unlearning_evaluation at ffae0ff,
            `metric.py`): thresholds on a grid of 100 a unit, windows no more than 2 wider or narrower than the smaller
            range, and `MOST_EPSILON` at once where one side's range is below 1 % of the other's.

    Returns:
        `(samples,)`, 0 to `MOST_EPSILON`; 0 where no rule is left.

    Raises:
        UnlearningError: see [`check_margins`].
    """
    ours, theirs = check_margins(unlearned, retrained)
    if reference_compatible:
        return np.array([_epsilon_on_grids(*each) for each in zip(ours.T, theirs.T, strict=True)])
    return Ordered(np.concatenate([ours, theirs])).epsilons(np.arange(2 * len(ours)) < len(ours))


def forgetting_quality(epsilons: np.ndarray, num_models: int) -> float:
    """F = mean of H(ε), 0 to 1: H = 2^−⌊ε / 0.5⌋ below ⌈ln(N − 1)⌉, else 0.

    Args:
        epsilons: from [`example_epsilons`].
        num_models: N, unlearned models (and as many retrained ones).
    """
    below = epsilons < np.ceil(np.log(num_models - 1))
    return float(np.mean(np.where(below, 0.5 ** np.floor(np.minimum(epsilons, MOST_EPSILON) / BUCKET), 0.0)))


def final_score(quality: float, unlearned: tuple[float, float], retrained: tuple[float, float]) -> float:
    """The competition's score: F · (RA_u / RA_r) · (TA_u / TA_r), of mean retain and test accuracies."""
    return quality * unlearned[0] / retrained[0] * unlearned[1] / retrained[1]


class Ordered:
    """Margins of `(models, samples)`, sorted once: which of the models were unlearned may then be asked many times."""

    def __init__(self, values: np.ndarray):
        self.order = np.argsort(values, axis=0, kind="stable").T
        self.values = np.take_along_axis(values, self.order.T, axis=0).T
        apart = self.values[:, 1:] > self.values[:, :-1]
        edge = np.ones((len(self.values), 1), bool)
        # Equal margins lie on one side of any threshold.
        self.starts, self.ends = np.hstack([edge, apart]), np.hstack([apart, edge])

    def epsilons(self, of_unlearned: np.ndarray) -> np.ndarray:
        """[`example_epsilons`]; as many models are unlearned as not."""
        size = len(of_unlearned)
        step = max(1, _CELLS // size**2)
        parts = [self._of(slice(at, at + step), of_unlearned) for at in range(0, len(self.values), step)]
        return np.concatenate(parts)

    def _of(self, rows: slice, of_unlearned: np.ndarray) -> np.ndarray:
        values, ours = self.values[rows], of_unlearned[self.order[rows]]
        half = values.shape[1] // 2
        sides = [values[mask].reshape(len(values), half) for mask in (ours, ~ours)]
        medians, ranges = [np.median(side, axis=1) for side in sides], [side[:, -1] - side[:, 0] for side in sides]
        table = epsilon_table(half)
        # As many of each side as lie before each position.
        before = np.pad(np.cumsum(ours, axis=1), ((0, 0), (1, 0)))
        both = np.arange(values.shape[1] + 1)
        above, others_above = half - before, half - (both - before)
        positive = (medians[0] >= medians[1])[:, None]
        found = table[np.where(positive, others_above, above), half - np.where(positive, above, others_above)]
        best = np.where(self.starts[rows], found[:, :-1], -1.0).max(axis=1)
        inside = before[:, None, 1:] - before[:, :-1, None]
        others_inside = (both[None, None, 1:] - both[None, :-1, None]) - inside
        peaked = (ranges[0] <= ranges[1])[:, None, None]
        windows = self.starts[rows][:, :, None] & self.ends[rows][:, None, :] & np.triu(np.ones(inside.shape[1:], bool))
        false = np.where(peaked, others_inside, inside).clip(0)
        missed = half - np.where(peaked, inside, others_inside).clip(0)
        within = np.where(windows, table[false, missed], -1.0).max(axis=(1, 2))
        return np.maximum(np.maximum(best, within), 0.0)


@lru_cache(maxsize=8)
def epsilon_table(num_models: int) -> np.ndarray:
    """ε by the numbers of false positives and false negatives among N models a side, `(N + 1, N + 1)`; −1: left out."""
    rates = np.arange(num_models + 1) / num_models
    positive, negative = rates[:, None], rates[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.log(1 - DELTA - positive) - np.log(negative)
        other = np.log(1 - DELTA - negative) - np.log(positive)
        # A rate of 1 leaves no logarithm; such a rule proves nothing from that side.
        found = np.clip(np.fmax(one, other), 0.0, MOST_EPSILON)
    none = (positive == 0) & (negative == 0)
    single = (positive == 0) ^ (negative == 0)
    return np.where(none, MOST_EPSILON, np.where(single, -1.0, np.nan_to_num(found)))


def _epsilon_on_grids(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    """The reference code's ε of one sample, `(N,)` margins a side."""
    spans = [np.ptp(side) for side in (unlearned, retrained)]
    if min(spans) < _PEAKED * max(spans):
        return MOST_EPSILON
    first = np.median(retrained) > np.median(unlearned)
    positive, negative = (np.sort(side) for side in ((retrained, unlearned) if first else (unlearned, retrained)))
    table = epsilon_table(len(positive))
    best = [0.0]
    single = _grid(min(positive[0], negative[0]), max(positive[-1], negative[-1]))
    if len(single):
        false = len(negative) - np.searchsorted(negative, single, side="left")
        best.append(table[false, np.searchsorted(positive, single, side="left")].max())
    peaked, other = (negative, positive) if np.ptp(positive) >= np.ptp(negative) else (positive, negative)
    for left, right in _windows(peaked[0], peaked[-1]):
        false, hit = _between(other, left, right), _between(peaked, left, right)
        best.append(table[false, len(peaked) - hit].max())
    return float(max(best))


def _grid(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, int(np.ceil((high - low) * _PER_UNIT)))


def _windows(low: float, high: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Left and right thresholds, a right one at a time, around margins from `low` to `high`."""
    width = high - low
    count = int(np.ceil(2 * _BEYOND * _PER_UNIT))
    for right in _grid(low + width - _BEYOND, high + _BEYOND):
        yield np.linspace(right - width - _BEYOND, right - width + _BEYOND, count), np.full(count, right)


def _between(ordered: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How many of the sorted values lie in each window, its ends included; none in one whose left end is the right."""
    found = np.searchsorted(ordered, right, side="right") - np.searchsorted(ordered, left, side="left")
    return np.maximum(found, 0)
