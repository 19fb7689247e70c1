"""What someone with the weights and a few samples finds: pure functions of features and logits. Recalls are in percent.

Each is of one forgotten class. A retrained model has values of its own, and they are the target: features of a class
that was never seen tell it from others, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hf_unlearn.evaluation.attacks.membership import LEAST_SAMPLES, TooFewSamples
from hf_unlearn.evaluation.attacks.rmia import tpr_at_fpr

SHOTS = 5
# The mean feature of five samples depends on which they are.
DRAWS = 10
HIDDEN = 64


def halves(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions of 0 to `size` − 1 in two halves, drawn by `seed`, each in order: to fit on, and to look at."""
    drawn = np.random.default_rng(seed).permutation(size)
    return np.sort(drawn[: size // 2]), np.sort(drawn[size // 2 :])


def linear_probe(forget: np.ndarray, retain: np.ndarray, fpr: float = 0.01, seed: int = 0) -> float:
    """Recall of held-out forget samples by a logistic regression on features, at a false-positive rate among retained.

    Features are standardised, the two kinds weighted alike; it is fitted on one half of each and looked at on the
    other.

    Args:
        forget: features of forget samples, `(samples, width)`.
        retain: of retained ones.
        fpr: share of held-out retained samples that may be taken for forgotten ones.
        seed: of the halves.

    Raises:
        TooFewSamples: fewer than 20 held-out forget samples, or than 1 / `fpr` retained ones.
        ValueError: shapes do not fit, or a number is not finite.
    """
    from sklearn.linear_model import LogisticRegression

    return _probe(LogisticRegression(class_weight="balanced", max_iter=1000), forget, retain, fpr, seed)


def mlp_probe(forget: np.ndarray, retain: np.ndarray, fpr: float = 0.01, seed: int = 0) -> float:
    """The same as [`linear_probe`] by a network with one hidden layer of 64 ReLUs.

    Of the larger kind only as many samples are fitted on as there are of the other, drawn by `seed`.
    """
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((HIDDEN,), alpha=1e-2, random_state=seed)
    return _probe(network, forget, retain, fpr, seed, balance=True)


def intra_class_cosine(features: np.ndarray) -> float:
    """Mean cosine between the features of two different samples of a class, −1 to 1.

    Below the retrained model's is too much, and shows as well as too little.

    Args:
        features: of forget samples of one class, `(samples, width)`.

    Raises:
        TooFewSamples: fewer than two samples.
        ValueError: a number is not finite.
    """
    values = _matrix(features, "forget")
    if len(values) < 2:
        raise TooFewSamples(f"{len(values)} forget samples; at least 2 are needed")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    units = values / np.maximum(lengths, np.finfo(np.float64).tiny)
    count = len(units)
    # Over all pairs: the square of the sum has each pair twice, and each sample with itself once.
    return float((np.square(units.sum(axis=0)).sum() - np.square(units).sum()) / (count * (count - 1)))


def prototype_recall(
    forget: np.ndarray,
    retain: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    forgotten: Sequence[int],
    shots: int = SHOTS,
    fpr: float = 0.01,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Recall of a forgotten class when its row of the head is made anew from a few samples of it.

    The row is the mean feature of `shots` forget samples less that of one half of the retained ones, at the mean norm
    of the other rows. A constant is added to its logit, so that on the other half of the retained samples it is the
    largest for a share `fpr`. The mean over `draws` draws of the samples; those drawn are not counted.

    Args:
        forget: features of forget samples of the class, `(samples, width)`.
        retain: of retained ones.
        weight: of the head, `(num_labels, width)`.
        bias: of the head, `(num_labels,)`; by default none.
        forgotten: class ids of all that was forgotten, this class among them; they have no part in it.
        seed: of the draws and halves.

    Raises:
        TooFewSamples: fewer than 20 forget samples beside those drawn, or than 1 / `fpr` retained ones to look at.
        ValueError: shapes do not fit, or a number is not finite.
    """
    forget, retain = _both(forget, retain)
    rows = _matrix(weight, "head's")
    others = np.delete(rows, list(forgotten), axis=0)
    biases = np.delete(np.zeros(len(rows)) if bias is None else np.asarray(bias, np.float64), list(forgotten))
    _has_others(len(others), forgotten)
    fit, held = halves(len(retain), seed)
    centre = retain[fit].mean(axis=0)
    norm = float(np.linalg.norm(others, axis=1).mean())
    beaten, held_beaten = ((part @ others.T + biases).max(axis=1) for part in (forget, retain[held]))
    rng = np.random.default_rng(seed)
    recalls = []
    for _ in range(draws):
        drawn = rng.permutation(len(forget))
        direction = forget[drawn[:shots]].mean(axis=0) - centre
        row = norm * direction / max(float(np.linalg.norm(direction)), np.finfo(np.float64).tiny)
        rest = drawn[shots:]
        recalls.append(tpr_at_fpr(forget[rest] @ row - beaten[rest], retain[held] @ row - held_beaten, fpr))
    return float(np.mean(recalls))


def shifted_recall(
    forget_logits: np.ndarray,
    retain_logits: np.ndarray,
    column: int,
    fpr: float = 0.01,
    forgotten: Sequence[int] | None = None,
) -> float:
    """Recall of a forgotten class when a constant is added to its logit; it needs no training at all.

    The constant is such that a share `fpr` of the retained samples is taken for the class.

    Args:
        forget_logits: of forget samples of the class, `(samples, num_labels)`.
        retain_logits: of retained ones.
        column: of the class.
        forgotten: columns of all that was forgotten, by default of this class alone; the others have no part in it.

    Raises:
        TooFewSamples: fewer than 20 forget samples, or than 1 / `fpr` retained ones.
        ValueError: shapes do not fit, or a number is not finite.
    """
    forget_logits, retain_logits = _both(forget_logits, retain_logits)
    gone = [column] if forgotten is None else [*forgotten]
    _has_others(forget_logits.shape[1] - len(set(gone)), gone)
    lead, others = (
        part[:, column] - np.delete(part, gone, axis=1).max(axis=1) for part in (forget_logits, retain_logits)
    )
    return tpr_at_fpr(lead, others, fpr)


def over_classes(probe: Callable[[np.ndarray, int], float], labels: np.ndarray, classes: Sequence[int]) -> float:
    """The mean of a probe over forgotten classes, each counted alike.

    Args:
        probe: of the rows of a class (boolean `(samples,)`) and the class.
        labels: of the forget samples, `(samples,)`.
        classes: the forgotten ones. Those with too few samples are left out.

    Raises:
        TooFewSamples: of all classes there are too few samples; the message is that of the last.
    """
    found, lacking = [], None
    for each in classes:
        try:
            found.append(probe(labels == each, int(each)))
        except TooFewSamples as error:
            lacking = error
    if not found:
        raise lacking or TooFewSamples("0 forgotten classes; at least 1 is needed")
    return float(np.mean(found))


def _probe(
    classifier: Any, forget: np.ndarray, retain: np.ndarray, fpr: float, seed: int, balance: bool = False
) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    forget, retain = _both(forget, retain)
    (fit, held), (fit_retain, held_retain) = halves(len(forget), seed), halves(len(retain), seed)
    if len(fit) < LEAST_SAMPLES:
        raise TooFewSamples(f"{len(forget)} forget samples; at least {2 * LEAST_SAMPLES} are needed, half to fit on")
    if balance:
        rng = np.random.default_rng(seed)
        size = min(len(fit), len(fit_retain))
        fit, fit_retain = rng.permutation(fit)[:size], rng.permutation(fit_retain)[:size]
    kinds = np.r_[np.ones(len(fit)), np.zeros(len(fit_retain))]
    with warnings.catch_warnings():
        # Where kinds lie apart there is always a better fit, and none that matters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = make_pipeline(StandardScaler(), classifier).fit(np.r_[forget[fit], retain[fit_retain]], kinds)
    found, taken = (fitted.predict_proba(part)[:, 1] for part in (forget[held], retain[held_retain]))
    return tpr_at_fpr(found, taken, fpr)


def _has_others(count: int, forgotten: Sequence[int]) -> None:
    if count < 1:
        raise ValueError(f"the forgotten classes {sorted(set(forgotten))} are all that there are; expected others")


def _both(forget: np.ndarray, retain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = _matrix(forget, "forget"), _matrix(retain, "retained")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"rows are {first.shape[1]} and {second.shape[1]} numbers wide; expected the same width")
    return first, second


def _matrix(values: np.ndarray, what: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"the {what} samples' values are of shape {values.shape}; expected (samples, width)")
    if not np.isfinite(values).all():
        raise ValueError(f"the {what} samples' values hold NaN or infinity; expected finite numbers")
    return values
