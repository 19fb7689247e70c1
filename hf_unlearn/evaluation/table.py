"""The comparison as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = (
    ("forget_accuracy", "forget accuracy (train)"),
    ("retain_accuracy", "retain accuracy (train)"),
    ("test_accuracy", "test accuracy"),
    ("test_accuracy_remaining", "test accuracy, remaining"),
    ("test_accuracy_forgotten", "test accuracy, forgotten"),
    ("average_gap", "average gap"),
)
_HEADINGS = {"original": "original", "unlearned": "unlearned", "retrained": "retrained (target)"}


def comparison_table(results: Mapping[str, Any]) -> str:
    """`results` of [`compare`] as lines of text: one row a figure, one column a model, percent and points."""
    models = results["models"]
    width = max(len(title) for _, title in _ROWS)
    headings = [_HEADINGS[role] for role in models]
    lines = [" " * width + "".join(f"  {heading:>18}" for heading in headings)]
    for figure, title in _ROWS:
        cells = ["–" if models[role][figure] is None else f"{models[role][figure]:.2f}" for role in models]
        lines.append(f"{title:<{width}}" + "".join(f"  {cell:>18}" for cell in cells))
    if "retrained" in models:
        lines.append("Percent; the gap in points to the retrained model, the lower the better.")
    else:
        lines.append(
            "Percent. Without a retrained model (--reference_model) nobody can say which forget accuracy is right."
        )
    return "\n".join(lines)
