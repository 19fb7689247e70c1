"""U-LiRA, the per-example membership attack on unlearned models (arXiv 2403.01218)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.attacks.rmia import auc, tpr_at_fpr
from hf_unlearn.evaluation.audits.margins import MOST_MARGIN, check_count

# LiRA's rule (arXiv 2112.03570, Sec. VI-A): with fewer models, one deviation for all samples.
MODELS_FOR_OWN_DEVIATION = 64
# Deviations of margins below this are taken for it: models that agree are not told apart by rounding.
LEAST_DEVIATION = 1e-2


class MembershipAttack(NamedTuple):
    """What the attack says, over all held-out models and samples together.

    Attributes:
        auc: percent; 50 is chance.
        balanced_accuracy: percent, of calling a pair of model and sample *member* where the ratio is above 1; 50 is
            chance.
        tpr_at_1: percent of members found at 1 % false positives; 1 is chance. None with fewer than 100 non-members.
        tpr_at_01: the same at 0.1 %; None with fewer than 1,000.
        per_example: balanced accuracy of each sample over the models, `(samples,)`, percent; NaN for a sample that is
            a member of all models, or of none, that were scored.
    """

    auc: float
    balanced_accuracy: float
    tpr_at_1: float | None
    tpr_at_01: float | None
    per_example: np.ndarray


def u_lira(margins: np.ndarray, members: np.ndarray) -> MembershipAttack:
    """Whether an unlearned model tells which samples it once held.

    Each model is the target once. For each sample one normal distribution is fitted to the margins of the *other*
    models that held it (and unlearned it), one to those of the others that never did; the target's margin is scored by
    the logarithm of their ratio. The same with samples that were trained on and stay says what their risk is.

    With fewer than 64 models each of the two has one deviation for all samples.

    Args:
        margins: of T models, each trained on a random half of the data and unlearned, `(T, samples)`.
        members: whether the model was trained on the sample before, boolean `(T, samples)`.

    Raises:
        UnlearningError: too few models, margins that are no numbers, or a sample that is a member of fewer than two, or
            all but fewer than two, of the models in all samples.
    """
    members = np.asarray(members, dtype=bool)
    return figures_of(scores(margins, members), members)


def scores(margins: np.ndarray, members: np.ndarray) -> np.ndarray:
    """The logarithm of the likelihood ratio, member to not, of each model and sample: `(T, samples)`.

    NaN where fewer than two of the other models are on a side.
    """
    values = np.asarray(margins, dtype=np.float64)
    members = np.asarray(members, dtype=bool)
    if values.ndim != 2 or values.shape != members.shape or not values.shape[1]:
        raise UnlearningError(
            f"margins have shape {values.shape} and members {members.shape}; expected (models, samples) of both"
        )
    check_count(len(values), "models")
    if np.isnan(values).any():
        raise UnlearningError("margins hold NaN; expected numbers")
    values = np.clip(values, -MOST_MARGIN, MOST_MARGIN)
    own = len(values) >= MODELS_FOR_OWN_DEVIATION
    return _log_likelihood(values, members, own) - _log_likelihood(values, ~members, own)


def _log_likelihood(values: np.ndarray, chosen: np.ndarray, own_deviation: bool) -> np.ndarray:
    """log N(value; μ, σ²), fitted to the values of the chosen models other than the value's own."""
    count = chosen.sum(axis=0) - chosen
    total = np.where(chosen, values, 0.0).sum(axis=0) - np.where(chosen, values, 0.0)
    squares = np.where(chosen, values**2, 0.0).sum(axis=0) - np.where(chosen, values**2, 0.0)
    known = count >= 2
    mean = total / np.maximum(count, 1)
    spread = np.maximum(squares - count * mean**2, 0.0)
    if own_deviation:
        variance = spread / np.maximum(count - 1, 1)
    else:
        freedom = np.where(known, count - 1, 0).sum(axis=1, keepdims=True)
        variance = np.where(known, spread, 0.0).sum(axis=1, keepdims=True) / np.maximum(freedom, 1)
    deviation = np.maximum(np.sqrt(variance), LEAST_DEVIATION)
    return np.where(known, -0.5 * ((values - mean) / deviation) ** 2 - np.log(deviation), np.nan)


def figures_of(found: np.ndarray, members: np.ndarray) -> MembershipAttack:
    """The figures of scores that [`scores`] gave.

    Raises:
        UnlearningError: no pair of model and sample could be scored on one of the two sides.
    """
    scored = ~np.isnan(found)
    ours, theirs = found[scored & members], found[scored & ~members]
    if not len(ours) or not len(theirs):
        raise UnlearningError(
            "no sample is a member of at least two models and not of at least two others; expected each model trained "
            "on its own random half"
        )
    counts = (scored & members).sum(axis=0), (scored & ~members).sum(axis=0)
    with np.errstate(invalid="ignore"):
        hit = (scored & members & (found > 0)).sum(axis=0) / counts[0]
        right = (scored & ~members & (found <= 0)).sum(axis=0) / counts[1]
    return MembershipAttack(
        auc=auc(ours, theirs),
        balanced_accuracy=50.0 * float((ours > 0).mean() + (theirs <= 0).mean()),
        tpr_at_1=_tpr(ours, theirs, 0.01),
        tpr_at_01=_tpr(ours, theirs, 0.001),
        per_example=50.0 * (hit + right),
    )


def _tpr(ours: np.ndarray, theirs: np.ndarray, fpr: float) -> float | None:
    return tpr_at_fpr(ours, theirs, fpr) if len(theirs) >= round(1 / fpr) else None
