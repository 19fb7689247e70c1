"""What the metrics need to know of each sample, read from logits in pieces, so that they may lie on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import special

from hf_unlearn.evaluation.metrics.divergences import log_softmax
from hf_unlearn.evaluation.metrics.pieces import mean_over, pieces


@dataclass(frozen=True)
class SampleFigures:
    """One value a sample, each `(samples,)`, of one model on one split.

    Attributes:
        labels: class ids of the model, int64.
        predicted: the likeliest class, int64.
        log_confidence: log p_y, y the label; nats. Its negative is the cross-entropy loss.
        log_doubt: log(1 − p_y), exact where p_y is nearly 1; nats.
        entropy: −Σ p_i log p_i; nats.
        modified_entropy: see [`modified_entropies`]; nats.
    """

    labels: np.ndarray
    predicted: np.ndarray
    log_confidence: np.ndarray
    log_doubt: np.ndarray
    entropy: np.ndarray
    modified_entropy: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> SampleFigures:
        """Of logits `(samples, num_labels)`, an array or a memory map, and labels `(samples,)`.

        Raises:
            ValueError: a logit is not finite.
        """
        parts = [_of_piece(logits[rows], labels[rows]) for rows in pieces(len(labels))]
        if not parts:
            parts = [_of_piece(np.zeros((0, max(1, logits.shape[1]))), labels)]
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: np.ndarray) -> SampleFigures:
        """Of some of the samples: boolean `(samples,)`, or indices."""
        return SampleFigures(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def correct(self) -> np.ndarray:
        """Whether the likeliest class is the label, boolean `(samples,)`."""
        return self.predicted == self.labels

    @property
    def confidence(self) -> np.ndarray:
        """p_y, `(samples,)`, 0 to 1."""
        return np.exp(self.log_confidence)


def modified_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """−(1 − p_y) log p_y − Σ_{i≠y} p_i log(1 − p_i) of each sample, in nats (arXiv 2003.10595, Eq. 8).

    Args:
        logits: `(samples, num_labels)`.
        labels: `(samples,)`.

    Returns:
        `(samples,)`, at least 0; near 0 for a sure and right answer, large for a sure and wrong one.
    """
    return _of_piece(logits, labels).modified_entropy


def modified_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean over samples of [`modified_entropies`], in nats. The target is the retrained model's value."""
    return mean_over(modified_entropies, logits, labels)


def _of_piece(logits: np.ndarray, labels: np.ndarray) -> SampleFigures:
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    labels = np.asarray(labels, dtype=np.int64)
    rows = np.arange(len(labels))
    log_doubts = _log_of_the_rest(log_p)
    # 0 · log 0 is 0: where a class has no probability it has no share in the sum.
    own_term = -np.exp(log_doubts[rows, labels]) * log_p[rows, labels]
    other_terms = -p * np.where(p > 0, log_doubts, 0.0)
    other_terms[rows, labels] = 0.0
    return SampleFigures(
        labels=labels,
        predicted=log_p.argmax(axis=1),
        log_confidence=log_p[rows, labels],
        log_doubt=log_doubts[rows, labels],
        entropy=special.entr(p).sum(axis=1),
        modified_entropy=own_term + other_terms.sum(axis=1),
    )


def _log_of_the_rest(log_p: np.ndarray) -> np.ndarray:
    """log(1 − p_i) for every class, without the cancellation of 1 − p_i where p_i is nearly 1."""
    if not log_p.size:
        return np.empty_like(log_p)
    likeliest = log_p.argmax(axis=1)
    rows = np.arange(len(log_p))
    with np.errstate(divide="ignore"):
        result = np.log1p(-np.exp(log_p))
        without = log_p.copy()
        without[rows, likeliest] = -np.inf
        result[rows, likeliest] = special.logsumexp(without, axis=1)
    # A softmax leaves no class without any probability; the logarithm of what underflows is bounded by that.
    return np.maximum(result, -745.0)
