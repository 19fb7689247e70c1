"""How deep whole classes go, as tables of docs/depth.md.

python scripts/depth_report.py            # rewrites the tables between the marks
"""

from __future__ import annotations

import statistics

from page_parts import Part
from study_defaults import RESULTS, read_rows

CSV = RESULTS / "study_depth.csv"
PART = Part("depth", "depth_report.py", "docs/depth.md")
ABLATION = Part("depth ablation", "depth_report.py", "docs/depth.md")
Rows = list[dict[str, str]]
PROBES = {
    "linear_probe": ("linear probe, %", 0),
    "mlp_probe": ("two-layer probe, %", 0),
    "forget_cosine": ("cosine", 2),
    "prototype_recall": ("prototype, %", 0),
    "shifted_recall_1": ("shifted logit, %", 0),
    "relearn_mixed_steps": ("relearning, steps", 0),
    "relearn_five_steps": ("from five samples, steps", 0),
    "remembered_accuracy": ("from the rest alone, %", 0),
}
SHOWN = ("do nothing", "head only", "no features (answers alone)", "default", "retrained again")


def settings_of(rows: Rows) -> list[tuple[str, ...]]:
    """The settings of the study, in order."""
    return list(dict.fromkeys(key_of(row) for row in rows))


def key_of(row: dict[str, str]) -> tuple[str, ...]:
    """The setting that a row belongs to."""
    return tuple(row[name] for name in ("regime", "dataset", "model", "request"))


def values(rows: Rows, variant: str, figure: str) -> list[float]:
    """A figure of a variant in all settings that have it."""
    return [float(row[figure]) for row in rows if row["variant"] == variant and row.get(figure)]


def mean(found: list[float], digits: int) -> str:
    return f"{statistics.mean(found):.{digits}f}" if found else "–"


def body(rows: Rows) -> str:
    """Every probe, setting by setting, of the default between the original and a retrained model."""
    lines = ["| setting |  | " + " | ".join(SHOWN) + " |", "|" + "---|" * (2 + len(SHOWN))]
    figures = {"depth": ("**depth, %**", 1), "average_gap": ("gap, points", 2), **PROBES}
    for key in settings_of(rows):
        chosen = [row for row in rows if key_of(row) == key]
        name = ", ".join(key)
        for figure, (title, digits) in figures.items():
            cells = [mean(values(chosen, variant, figure), digits) for variant in SHOWN]
            if set(cells) != {"–"}:
                lines.append(f"| {name} | {title} | {' | '.join(cells)} |")
                name = ""
    return "\n".join(lines)


def ablation(rows: Rows) -> str:
    """Depth and price of each variant, means over the settings in which all of them ran; then over all settings."""
    lines = [
        "| | settings | depth, % | lowest depth, % | gap, points | largest gap | from the rest alone, % | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    ran = {key: {row["variant"] for row in rows if key_of(row) == key} for key in settings_of(rows)}
    whole = [row for row in rows if ran[key_of(row)] == set(variants)]
    everywhere = [name for name in variants if all(name in each for each in ran.values())]
    parts = [("", whole, variants)] + ([(", all settings", rows, everywhere)] if len(whole) < len(rows) else [])
    for suffix, chosen, names in parts:
        for variant in names:
            depths, gaps = values(chosen, variant, "depth"), values(chosen, variant, "average_gap")
            ends = f"{min(depths):.1f}" if depths else "–"
            cells = [str(len(gaps)), mean(depths, 1), ends, mean(gaps, 2), f"{max(gaps):.2f}"]
            cells += [
                mean(values(chosen, variant, "remembered_accuracy"), 1),
                mean(values(chosen, variant, "seconds"), 0),
            ]
            lines.append(f"| {variant}{suffix} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write() -> None:
    """Rewrite the tables of the page."""
    rows = read_rows(CSV)
    PART.write(body(rows))
    ABLATION.write(ablation(rows))


if __name__ == "__main__":
    write()
