"""An audit as a table for a terminal, and its verdict in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The rows of each audit: title and key. The first is the one that is judged.
ROWS = {
    "u_lira": (
        ("U-LiRA: AUC, forget set, %", "figure"),
        ("  balanced accuracy, %", "balanced_accuracy"),
        ("  TPR at 1 % FPR, %", "tpr_at_1"),
        ("  TPR at 0.1 % FPR, %", "tpr_at_01"),
        ("  accuracy on one sample, 95th percentile, %", "accuracy_of_samples_95"),
        ("  AUC, retained samples, %", "retain_auc"),
    ),
    "klom": (
        ("KLoM: 95th percentile, forget set, nats", "figure"),
        ("  retained samples", "retain"),
        ("  test set", "test"),
    ),
    "forgetting_quality": (
        ("Forgetting quality F, 0 to 1", "figure"),
        ("  on the grids of the competition's code", "on_the_reference_grids"),
        ("  median ε of a sample", "median_epsilon"),
        ("  F times both ratios of accuracy", "final_score"),
    ),
}
_WIDTHS = (46, 10, 10, 9)


def audit_table(audit: Mapping[str, Any]) -> str:
    """An audit as lines of text: a row a figure, what exact unlearning gives, its p, and whether it passes."""
    lines = [_line("", "figure", "if exact", "p", "")]
    for name, rows in ROWS.items():
        found = audit["audits"].get(name)
        for title, key in rows if found is not None else ():
            value = found.get(key)
            if key == "figure":
                outcome = "passes" if found["passes"] else "FAILS"
                lines.append(_line(title, _text(value), _text(found["expected"]), f"{found['p']:.4f}", outcome))
            elif value is not None:
                lines.append(_line(title, _text(value), "", "", ""))
    lines += [f"  not taken: {name}: {reason}" for name, reason in audit["left_out"].items()]
    for role, accuracies in audit["accuracies"].items():
        shown = ", ".join(f"{part} {value:.2f} %" for part, value in accuracies.items())
        lines.append(f"  accuracies of the {role} models: {shown}")
    return "\n".join([*lines, verdict_line(audit)])


def verdict_line(audit: Mapping[str, Any]) -> str:
    """What the audit comes to, in a sentence."""
    failed = [
        ROWS[name][0][0].partition(":")[0].split(",")[0] for name, each in audit["audits"].items() if not each["passes"]
    ]
    count = audit["num_models"]
    if failed:
        return f"Verdict: FAILS. {count} unlearned models are told from {count} retrained ones ({', '.join(failed)})."
    return (
        f"Verdict: passes. {count} unlearned models cannot be told from {count} retrained ones; more models might tell."
    )


def _line(title: str, *cells: str) -> str:
    first, *widths = _WIDTHS
    texts = "".join(f"{text:>{width}}" for text, width in zip(cells, widths, strict=False))
    return f"{title:<{first}}{texts}  {cells[-1]}".rstrip()


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
