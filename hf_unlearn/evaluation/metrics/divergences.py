"""How far apart two models' answers are, on the same samples. Natural logarithms.

The functions in the plural give a value for each sample, the others the mean over samples.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from hf_unlearn.evaluation.metrics.pieces import mean_over, pieces


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities `(samples, num_labels)` float64 of logits of that shape.

    Raises:
        ValueError: a logit is not finite, or the array has not two dimensions.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2:
        raise ValueError(f"logits are of shape {logits.shape}; expected (samples, num_labels)")
    if not np.isfinite(logits).all():
        raise ValueError("logits hold NaN or infinity; expected finite numbers")
    return special.log_softmax(logits, axis=1)


def kl_divergences(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """KL(reference ‖ model) of each sample, `(samples,)`, in nats, at least 0.

    Args:
        logits: of the model, `(samples, num_labels)`.
        reference_logits: of the retrained model on the same samples.

    Raises:
        ValueError: shapes differ, or a logit is not finite.
    """
    return _kl(*_both(logits, reference_logits))


def js_divergences(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of each sample, `(samples,)`, in nats, from 0 to ln 2. Arguments: [`kl_divergences`].

    ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q).
    """
    return _js(*_both(logits, reference_logits))


def activation_distances(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """‖softmax(model) − softmax(reference)‖₂ of each sample, `(samples,)`, 0 to √2 (arXiv 2201.06640)."""
    return _l2(*_both(logits, reference_logits))


def agreements(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """Whether the likeliest class is the same, boolean `(samples,)`: its mean is the completeness."""
    return _same_answer(*_both(logits, reference_logits))


def kl_divergence(logits: np.ndarray, reference_logits: np.ndarray) -> float:
    """KL(reference ‖ model), mean over samples, in nats; 0 is best.

    Args:
        logits: of the model, `(samples, num_labels)`.
        reference_logits: of the retrained model on the same samples.

    Raises:
        ValueError: shapes differ, there are no samples, or a logit is not finite.
    """
    return mean_over(kl_divergences, logits, reference_logits)


def js_divergence(logits: np.ndarray, reference_logits: np.ndarray) -> float:
    """Jensen-Shannon divergence, mean over samples, in nats, from 0 (best) to ln 2. Arguments: [`kl_divergence`].

    ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q).
    """
    return mean_over(js_divergences, logits, reference_logits)


def activation_distance(logits: np.ndarray, reference_logits: np.ndarray) -> float:
    """‖softmax(model) − softmax(reference)‖₂, mean over samples, 0 (best) to √2. Arguments: [`kl_divergence`].

    arXiv 2201.06640.
    """
    return mean_over(activation_distances, logits, reference_logits)


def completeness(logits: np.ndarray, reference_logits: np.ndarray) -> float:
    """Share of samples with the retrained model's likeliest class, percent; 100 is best.

    Arguments: [`kl_divergence`].
    """
    return 100.0 * mean_over(agreements, logits, reference_logits)


def zero_retrain_forgetting(logits: np.ndarray, random_logits: np.ndarray) -> float:
    """ZRF (arXiv 2205.08096): 1 − the mean JS divergence to a randomly initialised model, on the forget set.

    1 says: as one who knows nothing. The target is the retrained model's value, not 1.
    """
    return 1.0 - js_divergence(logits, random_logits)


def distances(logits: np.ndarray, reference_logits: np.ndarray) -> dict[str, float]:
    """All four distances of answers, means over samples, by their names. Arguments: [`kl_divergence`]."""
    measures = {"js_divergence": _js, "kl_divergence": _kl, "activation_distance": _l2, "completeness": _same_answer}
    sums = dict.fromkeys(measures, 0.0)
    for rows in pieces(len(logits)):
        both = _both(logits[rows], reference_logits[rows])
        for name, measure in measures.items():
            sums[name] += float(measure(*both).sum())
    means = {name: value / len(logits) for name, value in sums.items()}
    return {**means, "completeness": 100.0 * means["completeness"]}


def _kl(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    # From the logarithms: a probability that is too small for a number still has one.
    return (np.exp(log_q) * (log_q - log_p)).sum(axis=1)


def _js(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    p, q = np.exp(log_p), np.exp(log_q)
    middle = 0.5 * (p + q)
    return 0.5 * (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum(axis=1)


def _l2(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.exp(log_p) - np.exp(log_q), axis=1)


def _same_answer(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    return log_p.argmax(axis=1) == log_q.argmax(axis=1)


def _both(logits: np.ndarray, reference_logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if np.shape(logits) != np.shape(reference_logits):
        raise ValueError(
            f"the models' logits are of shapes {np.shape(logits)} and {np.shape(reference_logits)}; expected the same"
        )
    return log_softmax(logits), log_softmax(reference_logits)
