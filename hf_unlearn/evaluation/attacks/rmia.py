"""RMIA, the relative membership attack with reference models (arXiv 2312.03262), and how well a score separates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_unlearn.evaluation.attacks.membership import LEAST_SAMPLES, TooFewSamples


def likelihood_ratios(
    log_confidence: np.ndarray, reference_log_confidences: Sequence[np.ndarray], a: float = 0.3
) -> np.ndarray:
    """p(x | θ) / p̄(x), with p̄(x) = ½ [(1 + a) · mean over reference models of p(x | θ') + 1 − a] (Eq. 10, offline).

    Args:
        log_confidence: log p_y under the attacked model, `(samples,)`, nats.
        reference_log_confidences: the same under models that were not trained on the samples, 1 to 4 of them.
        a: how far the mean over models that saw the sample is taken to lie above that over models that did not.

    Returns:
        `(samples,)`, 0 or more.

    Raises:
        ValueError: no reference model, or `a` outside 0 to 1.
    """
    if not len(reference_log_confidences):
        raise ValueError("there is no reference model; expected at least one")
    if not 0 <= a <= 1:
        raise ValueError(f"a is {a}; expected 0 to 1")
    out = np.mean([np.exp(values) for values in reference_log_confidences], axis=0)
    # At a = 1 the mean itself may be nothing.
    expected = np.maximum(0.5 * ((1 + a) * out + (1 - a)), np.finfo(np.float64).tiny)
    return np.exp(log_confidence) / expected


def rmia_scores(ratios: np.ndarray, population_ratios: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Share of population samples z with ratio(x) / ratio(z) > γ, for each x: `(samples,)`, 0 to 1; high says member.

    Args:
        ratios: of the samples in question, from [`likelihood_ratios`].
        population_ratios: of samples from the same population that are not among them.

    Raises:
        TooFewSamples: fewer than `LEAST_SAMPLES` in the population.
        ValueError: γ is not positive.
    """
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}; expected more than 0")
    if len(population_ratios) < LEAST_SAMPLES:
        raise TooFewSamples(f"{len(population_ratios)} population samples; at least {LEAST_SAMPLES} are needed")
    ordered = np.sort(population_ratios)
    return np.searchsorted(ordered, ratios / gamma, side="left") / len(ordered)


def auc(member_scores: np.ndarray, other_scores: np.ndarray) -> float:
    """Area under the ROC curve, percent: the chance that a member scores higher, ties counted half. 50 is chance.

    Raises:
        TooFewSamples: fewer than `LEAST_SAMPLES` of one kind.
    """
    from sklearn.metrics import roc_auc_score

    _enough(member_scores, other_scores, LEAST_SAMPLES)
    scores = np.r_[member_scores, other_scores]
    return 100.0 * float(roc_auc_score(np.r_[np.ones(len(member_scores)), np.zeros(len(other_scores))], scores))


def tpr_at_fpr(member_scores: np.ndarray, other_scores: np.ndarray, fpr: float) -> float:
    """Largest share of members found while at most a share `fpr` of the others is called one; percent.

    Chance is 100 · `fpr`. One threshold for all samples: score at or above it.

    Raises:
        TooFewSamples: so few others that not one of them may be called a member, or too few members.
    """
    _enough(member_scores, other_scores, max(LEAST_SAMPLES, round(1 / fpr)))
    allowed = int(np.floor(fpr * len(other_scores) + 1e-9))
    # The highest score that must stay below the threshold: one beyond the allowed false positives.
    barrier = np.sort(other_scores)[::-1][allowed] if allowed < len(other_scores) else -np.inf
    return 100.0 * float((member_scores > barrier).mean())


def roc_curve(member_scores: np.ndarray, other_scores: np.ndarray, points: int = 101) -> list[list[float]]:
    """False- and true-positive rates, 0 to 1, at evenly spaced false-positive rates: two lists of `points`."""
    from sklearn.metrics import roc_curve as exact_roc

    scores = np.r_[member_scores, other_scores]
    truth = np.r_[np.ones(len(member_scores)), np.zeros(len(other_scores))]
    false_rate, true_rate, _ = exact_roc(truth, scores)
    grid = np.linspace(0, 1, points)
    return [np.round(grid, 4).tolist(), np.round(np.interp(grid, false_rate, true_rate), 4).tolist()]


def _enough(member_scores: np.ndarray, other_scores: np.ndarray, least_others: int) -> None:
    if len(member_scores) < LEAST_SAMPLES:
        raise TooFewSamples(f"{len(member_scores)} members; at least {LEAST_SAMPLES} are needed")
    if len(other_scores) < least_others:
        raise TooFewSamples(f"{len(other_scores)} non-members; at least {least_others} are needed")
