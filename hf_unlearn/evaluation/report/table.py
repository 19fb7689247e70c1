"""The comparison as a table for a terminal, and in a few sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_unlearn.evaluation.references import is_tie
from hf_unlearn.evaluation.report.rows import ARROWS, ROWS, Row, cell, target_of

HEADINGS = {
    "original": "do nothing",
    "masked": "mask the logit",
    "head_only": "head only",
    "unlearned": "unlearned",
    "retrained": "retrained",
}
# Points of forget accuracy over the retrained model's that retained samples alone may bring back.
MOST_REMEMBERED = 5.0
LEGEND = "↑ higher is better, ↓ lower is better, → near the target is better."


def shown_rows(results: Mapping[str, Any]) -> list[Row]:
    """The rows that have a figure for any model."""
    models = results["models"].values()
    return [row for row in ROWS if any(figures.get(row.key) is not None for figures in models)]


def cells(results: Mapping[str, Any], row: Row) -> list[str]:
    """A row's figures as text: one for each model of `results["models"]`, then the target."""
    std = (results.get("retrained_std") or {}).get(row.key)
    texts = []
    for role, figures in results["models"].items():
        texts.append(cell(figures.get(row.key), row.digits, std if role == "retrained" else None))
    return [*texts, cell(target_of(row, results["models"]), row.digits)]


def comparison_table(results: Mapping[str, Any]) -> str:
    """`results` of [`compare`] as lines of text: one row a figure, one column a model, then the target."""
    rows = shown_rows(results)
    width = max(len(row.title) for row in rows) + 2
    headings = [*(HEADINGS[role] for role in results["models"]), "target"]
    # Spread widens the retrained models' column.
    widths = [
        max(12, len(heading) + 2, *(len(cells(results, row)[column]) + 2 for row in rows))
        for column, heading in enumerate(headings)
    ]
    lines = [" " * (width + 2) + "".join(f"{heading:>{w}}" for heading, w in zip(headings, widths, strict=True))]
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(f"{group}")
        texts = "".join(f"{text:>{w}}" for text, w in zip(cells(results, row), widths, strict=True))
        lines.append(f"  {row.title:<{width - 2}}{ARROWS[row.good]:>2}{texts}")
    lines.append(LEGEND)
    return "\n".join(lines)


def findings(results: Mapping[str, Any]) -> list[str]:
    """What the figures say and what they do not, in sentences."""
    models = results["models"]
    judged = "unlearned" if "unlearned" in models else "original"
    ours = models[judged]
    sentences = _on_depth(results, judged)
    if "retrained" in models:
        count = len(results["references"])
        against = "the retrained model" if count == 1 else f"{count} retrained models"
        gap = ours.get("average_gap")
        if gap is not None:
            text = f"The {judged} model is {gap:.2f} points from {against} on average"
            if judged == "unlearned" and models.get("original", {}).get("average_gap") is not None:
                better = "nearer than" if results["verdict"]["closer_than_doing_nothing"] else "NO NEARER than"
                text += f", {better} doing nothing ({models['original']['average_gap']:.2f})"
            sentences.append(f"{text}.")
            sentences += _against_the_floor(results, judged)
            sentences += _beside_the_mask(models, gap)
    elif results["whole_classes"]:
        sentences.append(
            f"A model that never saw these classes has a forget accuracy of 0 %; this one has "
            f"{ours['forget_accuracy']:.2f} %."
        )
        sentences.append(
            "Whether the rest is as a retrained model's would be, nobody can say without one (--reference_model)."
        )
    else:
        sentences.append(
            "Other samples still teach these labels: without a retrained model (--reference_model) nobody can say "
            "which forget accuracy is right, nor whether the original was not as good."
        )
    if list(results["counts"]) == ["forget"]:
        sentences.append(
            "What the rest of the model lost cannot be said: there is no test set (--test_dataset), and no retained "
            "samples."
        )
    sentences += [*_on_relearning(models), *_on_remembering(models)]
    sample = results.get("retain_sample")
    if sample is not None:
        sentences.append(
            f"Retain figures are over {sample['samples']:,} of {sample['among']:,} retained samples: an accuracy over "
            f"all of them is within {sample['half_width']:.2f} points, in 95 of 100 such draws."
        )
    sentences.append("None of this shows that the samples cannot be brought back by someone who holds the weights.")
    return sentences


def _on_depth(results: Mapping[str, Any], judged: str) -> list[str]:
    depth = results["models"][judged].get("depth")
    if depth is None or judged == "original":
        return []
    told = sum(share is not None for share in results["curves"]["depth"]["shares"][judged])
    floor = (results.get("noise_floor") or {}).get("depth")
    among = "" if floor is None else f" Retrained models are {floor:.0f} % apart among themselves."
    return [
        f"The {judged} model is {depth:.0f} % of the way from doing nothing to a retrained model, in the mean over "
        f"{told} probe{'' if told == 1 else 's'} of what is left in it.{among}"
    ]


def _against_the_floor(results: Mapping[str, Any], judged: str) -> list[str]:
    floor = results.get("noise_floor")
    if floor is None or "average_gap" not in floor:
        return ["With one retrained model only, how far two of them would differ is not known."]
    sentences = []
    among = f"retrained models differ by {floor['average_gap']:.2f} among themselves"
    for role in dict.fromkeys((judged, "original")):
        tie = is_tie(results["models"].get(role, {}).get("average_gap"), floor)
        what = "Doing nothing" if role == "original" else f"The {role} model"
        if tie:
            sentences.append(f"{what} is a tie with a retrained one: {among}.")
        elif tie is not None and role == judged:
            sentences.append(f"This is no tie: {among}.")
    return sentences


def _beside_the_mask(models: Mapping[str, Mapping[str, Any]], gap: float) -> list[str]:
    """That accuracies alone prove little, where a mask has them as well."""
    mask = models.get("masked", {}).get("average_gap")
    if mask is None:
        return []
    than = "no further" if mask <= gap else "further"
    return [
        f"The original with its forgotten logits masked, which forgets nothing, is {mask:.2f} points away: {than}. "
        "Accuracies alone do not show that anything was forgotten."
    ]


def _on_relearning(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    steps, target = (models.get(role, {}).get("relearn_steps") for role in ("unlearned", "retrained"))
    if steps is None or target is None or steps >= 0.8 * target:
        return []
    return [f"It relearns in {steps:.0f} steps what takes the retrained model {target:.0f}: traces are left in it."]


def _on_remembering(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    ours, target = (models.get(role, {}).get("remembered_accuracy") for role in ("unlearned", "retrained"))
    if ours is None or target is None or ours <= target + MOST_REMEMBERED:
        return []
    return [
        f"It remembers by itself: trained on retained samples alone its forget accuracy rises to {ours:.1f} %, that of "
        f"the retrained model to {target:.1f} %."
    ]
