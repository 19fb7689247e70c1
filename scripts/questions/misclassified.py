"""Question 5: does a misclassified forget sample's label say what to forget, or what the model takes it for?

scripts/study_misclassified.py measured it; this is its table and figure.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .question import Question, Rows, figure, groups, numbers, table_of

VARIANTS = ("do nothing", "label", "prediction")
FIGURES = {"average_gap": ("gap", 2), "distance_misclassified": ("distance", 3)}


def mean(rows: Rows, variant: str, column: str) -> float:
    """Over seeds."""
    return float(np.mean(numbers([row for row in rows if row["target"] == variant], column)))


def table(rows: Rows) -> str:
    """The gap, and on misclassified samples the distance of the answers to a retrained model's; means over seeds."""
    lines = []
    for (model, request), chosen in groups(rows, "model", "request").items():
        cells = [f"{mean(chosen, each, name):.{digits}f}" for name, (_, digits) in FIGURES.items() for each in VARIANTS]
        lines.append([model, request, *cells])
    heads = [f"{title}: {variant}" for title, _ in FIGURES.values() for variant in VARIANTS]
    return table_of(["model", "request", *heads], lines)


def draw(rows: Rows) -> Any:
    """Bars of both figures."""
    chart, axes = figure(2, width=5.5)
    panels = groups(rows, "model", "request")
    titles = ("average gap, points", "total variation on misclassified samples")
    for ax, column, title in zip(axes, FIGURES, titles, strict=True):
        for place, variant in enumerate(VARIANTS):
            across = np.arange(len(panels)) + 0.27 * (place - 1)
            ax.bar(across, [mean(chosen, variant, column) for chosen in panels.values()], 0.25, label=variant)
        ax.set_xticks(range(len(panels)), [f"{model}\n{request}" for model, request in panels], fontsize=6)
        ax.set_ylabel(title)
    axes[0].set_yscale("log")
    chart.legend(*axes[0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside lower center")
    return chart


QUESTION = Question(
    number="5",
    name="misclassified",
    cells=(),
    minutes=0,
    measure=None,
    table=table,
    draw=draw,
    csv_name="study_misclassified.csv",
    made_by="study_misclassified.py",
)
