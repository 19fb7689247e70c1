"""What came of a request in one sentence: what a reader sees first, before any table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hf_unlearn.evaluation.limits import WHOLE_CLASS_ACCURACY

MET, OPEN, NOT_MET = "met", "open", "not met"
# Points of accuracy on what stays that may be lost before it is said first.
MOST_LOST = 2.0


class Verdict(NamedTuple):
    """What the figures say of a request.

    Attributes:
        tone: `met`, `not met`, or `open` where nobody can tell or it had a price.
        sentence: for a reader.
    """

    tone: str
    sentence: str


def verdict_of(results: Mapping[str, Any]) -> Verdict:
    """Whether the request was met, by `results` of [`compare`], in one sentence."""
    models = results["models"]
    if "unlearned" not in models:
        return Verdict(OPEN, f"Nothing was unlearned: the model recognises {_share(models['original'])}.")
    ours, before = models["unlearned"], models.get("original", {})
    was = f", where it was {before['forget_accuracy']:.1f} %" if "forget_accuracy" in before else ""
    recognised = f"the model recognises {_share(ours)}{was}"
    if results["whole_classes"]:
        if before.get("forget_accuracy", 100.0) <= WHOLE_CLASS_ACCURACY:
            return Verdict(OPEN, f"There was nothing to forget: {recognised}.")
        if ours["forget_accuracy"] > WHOLE_CLASS_ACCURACY:
            return Verdict(NOT_MET, f"Not forgotten: {recognised}{_rest(ours, before)}.")
        lost = _lost(ours, before)
        said = f"{recognised}{_rest(ours, before)}{_beside_retrained(ours)}"
        if lost is not None and lost > MOST_LOST:
            return Verdict(OPEN, f"Forgotten in its answers, at a price: {said}.")
        return Verdict(MET, f"Forgotten in its answers: {said}.")
    closer, tie = (results["verdict"][name] for name in ("closer_than_doing_nothing", "tie_with_retrained"))
    if closer is None and not tie:
        why = "other samples still teach these labels, and there is no retrained model to compare with"
        return Verdict(OPEN, f"Nobody can tell: {why}; {recognised}{_rest(ours, before)}.")
    gaps = f"{ours['average_gap']:.2f} points of accuracy from a retrained one"
    if before.get("average_gap") is not None:
        gaps += f", doing nothing {before['average_gap']:.2f}"
    if tie or closer:
        how = (
            "as near to a retrained model as another retrained one" if tie else "nearer to a retrained one than before"
        )
        return Verdict(MET, f"The model is {how}: {gaps}; {recognised}.")
    return Verdict(NOT_MET, f"The model is no nearer to a retrained one than doing nothing: {gaps}; {recognised}.")


def _beside_retrained(ours: Mapping[str, Any]) -> str:
    """How near it is to a retrained model: inside, where that was looked at, else in its accuracies."""
    if ours.get("depth") is not None:
        return f"; inside it is {ours['depth']:.0f} % of the way to a retrained model"
    if ours.get("average_gap") is not None:
        return f"; its accuracies are {ours['average_gap']:.2f} points from a retrained model's"
    return ""


def _share(figures: Mapping[str, Any]) -> str:
    return f"{figures['forget_accuracy']:.1f} % of the samples to forget"


def _lost(ours: Mapping[str, Any], before: Mapping[str, Any]) -> float | None:
    """Points of accuracy lost on what stays: of the test set, else of the retained samples; None: nobody knows."""
    for key in ("test_accuracy_remaining", "test_accuracy", "retain_accuracy"):
        if ours.get(key) is not None and before.get(key) is not None:
            return float(before[key] - ours[key])
    return None


def _rest(ours: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    lost = _lost(ours, before)
    if lost is None:
        return ""
    if abs(lost) < 0.05:
        return ", and the rest is as good as before"
    return f", and the rest is {abs(lost):.1f} points {'worse' if lost > 0 else 'better'} than before"
