"""How far apart two models' answers are, on the same samples. Natural logarithms; means over samples."""

from __future__ import annotations

import numpy as np


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
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def kl_divergences(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """KL(reference ‖ model) of each sample, `(samples,)`, in nats, at least 0.

    Args:
        logits: of the model, `(samples, num_labels)`.
        reference_logits: of the retrained model on the same samples.

    Raises:
        ValueError: shapes differ, or a logit is not finite.
    """
    log_p, log_q = _both(logits, reference_logits)
    return (np.exp(log_q) * (log_q - log_p)).sum(axis=1)


def js_divergences(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of each sample, `(samples,)`, in nats, from 0 to ln 2. Arguments: [`kl_divergences`].

    ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q).
    """
    log_p, log_q = _both(logits, reference_logits)
    log_m = np.logaddexp(log_p, log_q) - np.log(2)
    halves = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
    return 0.5 * halves.sum(axis=1)


def activation_distances(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """‖softmax(model) − softmax(reference)‖₂ of each sample, `(samples,)`, 0 to √2 (arXiv 2201.06640)."""
    log_p, log_q = _both(logits, reference_logits)
    return np.linalg.norm(np.exp(log_p) - np.exp(log_q), axis=1)


def agreements(logits: np.ndarray, reference_logits: np.ndarray) -> np.ndarray:
    """Whether the likeliest class is the same, boolean `(samples,)`: its mean is the completeness."""
    log_p, log_q = _both(logits, reference_logits)
    return log_p.argmax(axis=1) == log_q.argmax(axis=1)


def zero_retrain_forgetting(logits: np.ndarray, random_logits: np.ndarray) -> float:
    """ZRF (arXiv 2205.08096): 1 − the mean JS divergence to a randomly initialised model, on the forget set.

    1 says: as one who knows nothing. The target is the retrained model's value, not 1.
    """
    return 1.0 - float(js_divergences(logits, random_logits).mean())


def _both(logits: np.ndarray, reference_logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if np.shape(logits) != np.shape(reference_logits):
        raise ValueError(
            f"the models' logits are of shapes {np.shape(logits)} and {np.shape(reference_logits)}; expected the same"
        )
    return log_softmax(logits), log_softmax(reference_logits)
