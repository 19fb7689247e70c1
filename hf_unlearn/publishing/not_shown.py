"""What the figures of a record do not show, in sentences: the same in a card and in a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def not_shown(record: Mapping[str, Any], hides: bool) -> list[str]:
    """Each a clause that follows "This does not show".

    Args:
        record: what is published of it.
        hides: whether nobody is to find out which samples were forgotten.
    """
    evaluation = record["evaluation"]
    said = []
    if hides:
        said.append(
            "Which samples were forgotten. The weights may tell more than is said here: whoever compares them to the "
            "original's can test who was forgotten."
        )
    said.append(
        "That the samples cannot be recovered by someone who holds the weights: forgetting was measured at the model's "
        "output."
    )
    if hides:
        said.append("That the model answers as one would that never saw the samples.")
    elif evaluation is None or "retrained" not in evaluation["models"]:
        said.append(
            "That the model answers as one would that never saw the samples: there was no such model to compare with."
        )
    if not _others_seen(record):
        said.append(
            "That the rest of the model is as it was: no sample but those to forget was there to measure it on."
        )
    if not hides and not record["whole_classes"]:
        said.append(
            "That the right amount was forgotten: other samples still teach the same labels, and no forget accuracy is "
            "right in itself."
        )
    said.append(
        "Anything about copies of the samples elsewhere in the training data, in other models, or in the original, "
        "which is unchanged."
    )
    said.append(
        "Any certified or formal guarantee. Whether a legal duty to erase is met is not a question that these figures "
        "answer."
    )
    return said


def _others_seen(record: Mapping[str, Any]) -> bool:
    """Whether any figure is of other samples than those to forget."""
    if record["evaluation"] is not None:
        return any(name != "forget" for name in record["evaluation"]["counts"])
    return any(name != "forget_accuracy" for name, value in record["checks"].items() if isinstance(value, Mapping))
