"""The three classic membership attacks, each with its direction. They look at one model and need no other.

All are in percent, and for the first two no value is right in itself: the target is the retrained model's.
"""

from __future__ import annotations

import numpy as np

# Fewer samples than this on a side, and an attack says nothing.
LEAST_SAMPLES = 20
# An SVC's time grows with the square of its samples: more than this a side are drawn at random.
MOST_SVC_SAMPLES = 2000


class TooFewSamples(ValueError):
    """An attack was given fewer samples than it needs; the message says what there are."""


def entropy_attack(retain_entropy: np.ndarray, test_entropy: np.ndarray, forget_entropy: np.ndarray) -> float:
    """MIA-entropy (as in SSD, arXiv 2308.07707): share of forget samples called **members**, percent.

    A logistic regression, weighted for balance, on the entropy of the answers; retain samples are the members it is
    fitted on, test samples the non-members.

    Args:
        retain_entropy, test_entropy, forget_entropy: `(samples,)`, nats.

    Raises:
        TooFewSamples: fewer than `LEAST_SAMPLES` of one kind.
    """
    from sklearn.linear_model import LogisticRegression

    _enough(retain=retain_entropy, test=test_entropy, forget=forget_entropy)
    members = np.r_[np.ones(len(retain_entropy)), np.zeros(len(test_entropy))]
    attacker = LogisticRegression(class_weight="balanced")
    attacker.fit(_column(np.r_[retain_entropy, test_entropy]), members)
    return 100.0 * float(attacker.predict(_column(forget_entropy)).mean())


def confidence_attack(
    retain_confidence: np.ndarray, test_confidence: np.ndarray, forget_confidence: np.ndarray, seed: int = 0
) -> float:
    """MIA-confidence (as in SalUn, arXiv 2310.12508): share of forget samples called **non-members**, percent.

    The opposite direction of [`entropy_attack`]. An SVC (C = 3, RBF, gamma "auto") on the probability of the true
    class, fitted on as many retain samples as test samples, at most `MOST_SVC_SAMPLES` of each, drawn with `seed`.

    Args:
        retain_confidence, test_confidence, forget_confidence: `(samples,)`, 0 to 1.

    Raises:
        TooFewSamples: fewer than `LEAST_SAMPLES` of one kind.
    """
    from sklearn.svm import SVC

    _enough(retain=retain_confidence, test=test_confidence, forget=forget_confidence)
    size = min(len(retain_confidence), len(test_confidence), MOST_SVC_SAMPLES)
    rng = np.random.default_rng(seed)
    members, others = draw(retain_confidence, size, rng), draw(test_confidence, size, rng)
    attacker = SVC(C=3.0, kernel="rbf", gamma="auto")
    attacker.fit(_column(np.r_[members, others]), np.r_[np.ones(size), np.zeros(size)])
    return 100.0 * float((attacker.predict(_column(forget_confidence)) == 0).mean())


def loss_attack(forget_loss: np.ndarray, test_loss: np.ndarray, seed: int = 0) -> float:
    """Loss attack (NeurIPS 2023 unlearning challenge's starting kit): how well losses tell forget from test, percent.

    Mean accuracy of a logistic regression on the per-sample loss, over 10 stratified random splits of as many forget as
    test samples. 50 is chance: the forget samples look unseen. Both sets should be of the same classes, or it measures
    the class instead.

    Args:
        forget_loss, test_loss: cross-entropy, `(samples,)`, nats.

    Raises:
        TooFewSamples: fewer than `LEAST_SAMPLES` of one kind.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score

    _enough(forget=forget_loss, test=test_loss)
    size = min(len(forget_loss), len(test_loss))
    rng = np.random.default_rng(seed)
    losses = np.r_[draw(forget_loss, size, rng), draw(test_loss, size, rng)]
    members = np.r_[np.ones(size), np.zeros(size)]
    splits = StratifiedShuffleSplit(n_splits=10, random_state=seed)
    scores = cross_val_score(LogisticRegression(), _column(losses), members, cv=splits, scoring="accuracy")
    return 100.0 * float(scores.mean())


def draw(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` of the values, without repetition, in their order; all of them if there are no more."""
    return values if len(values) <= size else values[np.sort(rng.permutation(len(values))[:size])]


def _column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)


def _enough(**sets: np.ndarray) -> None:
    for name, values in sets.items():
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} set's values hold NaN or infinity; expected finite numbers")
        if len(values) < LEAST_SAMPLES:
            raise TooFewSamples(f"{len(values)} {name} samples; at least {LEAST_SAMPLES} are needed")
