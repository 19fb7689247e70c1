"""KLoM, the KL divergence of margins (arXiv 2410.23232, App. E.1)."""

from __future__ import annotations

import numpy as np
from scipy import special

from hf_unlearn.evaluation.audits.margins import check_margins

BINS = 20
# The share that a bin has at least where nothing of the retrained models fell into it.
FLOOR = 1e-5
# Of the samples' values this percentile is reported: the worst, but for a twentieth.
PERCENTILE = 95


def klom(unlearned: np.ndarray, retrained: np.ndarray, reference_compatible: bool = False) -> np.ndarray:
    """For each sample the KL divergence from unlearned to retrained models' margins, as histograms.

    KL(P ‖ Q) = Σ_b P_b log(P_b / max(Q_b, 1e-5)), P and Q the shares of unlearned and of retrained models whose margin
    lies in each of 20 bins of equal width, from the smallest to the largest margin of both together.

    Args:
        unlearned: margins of N models that were unlearned from N distinct originals, `(N, samples)`.
        retrained: of N models retrained without the forget set, `(N, samples)`.
        reference_compatible: as the code of the paper's authors counts (RoyRin/data-unlearning-bench at eb261f9,
            `unlearning_bench/eval.py`): the largest margin falls into no bin, and both histograms are brought to a sum
            of 1 afterwards. Where all of a side's models have that margin there is then no histogram: NaN.

    Returns:
        `(samples,)`, nats, at least 0 but for the floor; log(1e5) = 11.5 where the two share no bin.

    Raises:
        UnlearningError: see [`check_margins`].
    """
    ours, theirs = check_margins(unlearned, retrained)
    values = np.concatenate([ours, theirs])
    of_unlearned = np.arange(len(values)) < len(ours)
    return divergences(bins_of(values, reference_compatible), of_unlearned, reference_compatible)


def klom_percentile(divergence: np.ndarray) -> float:
    """The 95th percentile over samples, the figure that the paper reports for forget, retain and validation set."""
    return float(np.percentile(divergence, PERCENTILE))


def bins_of(values: np.ndarray, reference_compatible: bool = False) -> np.ndarray:
    """The bin, 0 to 19, of each margin of `(models, samples)`; 20: none, for the largest in the reference code."""
    low, high = values.min(axis=0), values.max(axis=0)
    edges = np.linspace(low, np.where(high > low, high, low + 1.0), BINS + 1)
    found = sum((values >= edge).astype(np.int64) for edge in edges) - 1
    return found if reference_compatible else np.minimum(found, BINS - 1)


def divergences(bins: np.ndarray, of_unlearned: np.ndarray, reference_compatible: bool = False) -> np.ndarray:
    """[`klom`] of margins that are in bins already, `(models, samples)`, and which of the models were unlearned."""
    p, q = _shares(bins[of_unlearned]), _shares(bins[~of_unlearned])
    # Where P has nothing, Q does not count.
    floored = np.where(p > 0, np.maximum(q, FLOOR), 1.0)
    total = np.where(p > 0, floored, q).sum(axis=0) if reference_compatible else 1.0
    found = special.rel_entr(p, floored).sum(axis=0, where=p > 0) + np.log(total)
    return np.where(p.sum(axis=0) > 0, found, np.nan)


def _shares(bins: np.ndarray) -> np.ndarray:
    """Of each sample the share of its models in each bin, of those that are in any: `(BINS, samples)`."""
    counts = np.stack([(bins == each).sum(axis=0) for each in range(BINS)]).astype(np.float64)
    return counts / np.maximum(counts.sum(axis=0), 1.0)
