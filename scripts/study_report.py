"""The study's CSV as the table of docs/defaults.md: its whole classes.

Its rows of sub-classes, random samples and persons were run with an earlier default of those requests; what today's
does there is in docs/regimes.md (scripts/regime_report.py).

python scripts/study_report.py            # rewrites the table between the marks
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from page_parts import Part
from study_defaults import RESULTS, read_rows

PART = Part("study", "study_report.py", "docs/defaults.md")
Rows = list[dict[str, str]]
SHOWN = {
    "do nothing": "do nothing",
    "paper": "paper's difference",
    "guards alone": "guards alone",
    "default": "**default**",
}
FAMILIES: dict[str, Callable[[dict[str, str]], bool]] = {
    "one or two classes, ResNets": lambda row: row["request"].startswith("class") and "resnet" in row["model"],
    "one or two classes, ViTs": lambda row: row["request"].startswith("class") and "vit" in row["model"],
    "one or two classes, ConvNeXt": lambda row: row["request"].startswith("class") and "convnext" in row["model"],
}


def of(rows: Rows, variant: str) -> Rows:
    """The rows of one variant."""
    return [row for row in rows if row["variant"] == variant]


def refused(row: dict[str, str]) -> bool:
    """Whether the run ended in an error, with the original weights put back."""
    return row["stopped"].startswith("refused")


def gap_cell(rows: Rows) -> str:
    """Mean and worst average gap; how many runs were refused."""
    if not rows:
        return "–"
    gaps = [float(row["average_gap"]) for row in rows if not refused(row)]
    lost = sum(map(refused, rows))
    text = f"{statistics.mean(gaps):.2f} ({max(gaps):.2f})" if gaps else "–"
    return text + (f", {lost} of {len(rows)} refused" if lost else "")


def within_three(rows: Rows) -> str:
    """Share of runs whose two sensitivities are both within a factor 3 of the retrained model's."""
    ratios = [(float(row["target_ratio"]), float(row["irrelevant_ratio"])) for row in rows]
    good = sum(all(1 / 3 <= ratio <= 3 for ratio in both) for both in ratios)
    return f"{good} of {len(rows)}"


def complete(rows: Rows) -> Rows:
    """Rows of settings whose every variant was run."""
    settings: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        settings.setdefault(_setting(row), set()).add(row["variant"])
    return [row for row in rows if settings[_setting(row)] >= {"retrained", *SHOWN}]


def _setting(row: dict[str, str]) -> tuple[str, ...]:
    return row["dataset"], row["model"], row["seed"], row["request"]


def table(rows: Rows) -> str:
    """The whole table."""
    rows = complete(rows)
    heads = ["request, models", "settings", *SHOWN.values(), "worst loss", "sensitivities", "cost"]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + "---|" * len(heads)]
    for family, belongs in FAMILIES.items():
        chosen = [row for row in rows if belongs(row)]
        default = of(chosen, "default")
        if not default:
            continue
        retrained = {_setting(row): float(row["test_accuracy_remaining"]) for row in of(chosen, "retrained")}
        losses = [retrained[_setting(row)] - float(row["test_accuracy_remaining"]) for row in default]
        costs = [float(row["cost_percent"]) for row in default]
        cells = [family, str(len(default)), *(gap_cell(of(chosen, variant)) for variant in SHOWN)]
        cells += [f"{max(losses):.1f}", within_three(default), f"{min(costs):.1f}–{max(costs):.1f} %"]
        lines.append(" | ".join(["", *cells, ""]).strip())
    return "\n".join(lines)


def counted(rows: Rows) -> str:
    """What the table stands on, in words."""
    rows = [row for row in complete(rows) if any(belongs(row) for belongs in FAMILIES.values())]
    settings = {_setting(row) for row in rows}
    seeds = {dataset: sorted({s for d, _, s, _ in settings if d == dataset}) for dataset in {d for d, *_ in settings}}
    models = {(dataset, model) for dataset, model, *_ in settings}
    words = ", ".join(f"{dataset} (seeds {', '.join(found)})" for dataset, found in sorted(seeds.items()))
    return f"{len(settings)} settings: {len({m for _, m in models})} models, {words}."


def body(rows: Rows) -> str:
    """The part of docs/defaults.md."""
    return f"{counted(rows)}\n\n{table(rows)}"


def main() -> None:
    rows = read_rows(RESULTS / "study_defaults.csv")
    PART.write(body(rows))
    print(body(rows))


if __name__ == "__main__":
    main()
