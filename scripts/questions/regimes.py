"""Question 7: how much do the architecture and the complexity of the data matter?

scripts/study_regimes.py measured it; this is its rows by architecture, data and kind of request.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from regime_report import complete, kind_of

from .question import Question, Rows, figure, groups, numbers, table_of

VARIANTS = {
    "retrained again": "floor",
    "do nothing": "do nothing",
    "mask the logit": "mask the logit",
    "default": "default",
    "paper": "paper's difference",
}
# The classes of each dataset by the first part of its name: their number is the complexity that is varied.
CLASSES = {"fashion-mnist": 10, "digits": 10, "characters": 94, "capitals-96": 26, "characters-upper": 47}


def settings(rows: Rows) -> dict[tuple[str, ...], Rows]:
    """Finished rows by kind of request, architecture, data and regime."""
    whole = [
        {**row, "kind": kind_of(row["request"]), "data": row["dataset"].partition(":")[0]} for row in complete(rows)
    ]
    found = groups(whole, "kind", "model", "data", "regime")
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1], CLASSES[item[0][2]], item[0][3])))


def gap(rows: Rows, variant: str) -> float | None:
    """Mean over requests and seeds; None if it was not run."""
    found = [row for row in rows if row["variant"] == variant and row["average_gap"]]
    return float(np.mean(numbers(found, "average_gap"))) if found else None


def table(rows: Rows) -> str:
    """The average gap, points."""
    lines = []
    for (what, model, data, regime), chosen in settings(rows).items():
        cells = [gap(chosen, variant) for variant in VARIANTS]
        shown = ["–" if cell is None else f"{cell:.2f}" for cell in cells]
        requests = str(len({row["request"] for row in chosen}))
        lines.append([what, model, f"{data} ({CLASSES[data]} classes)", regime, requests, *shown])
    return table_of(["what goes", "model", "data", "regime", "requests", *VARIANTS.values()], lines)


def draw(rows: Rows) -> Any:
    """Bars of the gap, a panel for each kind of request."""
    chart, axes = figure(2, width=6)
    for ax, what in zip(axes, ("whole classes", "labels that stay"), strict=True):
        panels = {key[1:]: chosen for key, chosen in settings(rows).items() if key[0] == what}
        for place, (variant, title) in enumerate(VARIANTS.items()):
            gaps = [gap(chosen, variant) for chosen in panels.values()]
            across = np.arange(len(panels)) + 0.17 * (place - 2)
            ax.bar(across, [np.nan if each is None else max(each, 0.02) for each in gaps], 0.16, label=title)
        ax.set_xticks(range(len(panels)), ["\n".join(key) for key in panels], fontsize=6)
        ax.set(title=what, ylabel="average gap, points")
    axes[0].set_yscale("log")
    chart.legend(*axes[0].get_legend_handles_labels(), frameon=False, ncols=5, loc="outside lower center")
    return chart


QUESTION = Question(
    number="7",
    name="regimes",
    cells=(),
    minutes=0,
    measure=None,
    table=table,
    draw=draw,
    csv_name="study_regimes.csv",
    made_by="study_regimes.py",
)
