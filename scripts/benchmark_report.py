"""The benchmark's CSV as the table and the verdicts of docs/methods.md, and as a figure of gap against cost.

python scripts/benchmark_report.py            # rewrites them between the marks
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmark_methods import CSV
from page_parts import Part, main_of_report

from hf_unlearn.trainers.registry import METHODS

PART = Part("benchmark", "benchmark_report.py", "docs/methods.md")
# Round: from the forget set alone; square: with the retain set.
_MARKERS = {"*forget set alone*": "o", "*with the retain set*": "s"}
Rows = list[dict[str, str]]
KINDS = {"class": "whole class", "subclass": "sub-class", "random": "random 5 %"}
GROUPS = {
    "*references*": ["retrained again", "do nothing"],
    "*forget set alone*": [name for name, method in METHODS.items() if method.retain_free],
    "*with the retain set*": [name for name, method in METHODS.items() if not method.retain_free],
}


def reported(rows: Rows, method: str, model: str, kind: str) -> Rows:
    """The reported rows of a method on a model and a kind of request."""
    return [
        row
        for row in rows
        if row["phase"] == "report"
        and (row["method"], row["model"], row["request"].partition(":")[0]) == (method, model, kind)
    ]


def gap_over_seeds(rows: Rows) -> tuple[float, float, int]:
    """Mean and standard deviation of the average gap over training seeds, and how many seeds there are.

    A seed's gap is the mean over its requests.
    """
    seeds: dict[str, list[float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(float(row["average_gap"]))
    gaps = [statistics.mean(found) for found in seeds.values()]
    return statistics.mean(gaps), statistics.stdev(gaps) if len(gaps) > 1 else 0.0, len(gaps)


def cell(rows: Rows) -> str:
    """Mean ± standard deviation over training seeds; how many runs were refused, and the mean gap of what they made.

    A refused run counts with the gap of the original, which is what it leaves.
    """
    if not rows:
        return "–"
    mean, deviation, _ = gap_over_seeds(rows)
    lost = [row for row in rows if row["stopped"].startswith("refused")]
    text = f"{mean:.2f} ± {deviation:.2f}"
    if not lost:
        return text
    made = [float(row["refused_gap"]) for row in lost if row["refused_gap"]]
    return f"{text}, {len(lost)} of {len(rows)} refused" + (f" at {statistics.mean(made):.2f}" if made else "")


def counted(rows: Rows) -> str:
    """What the table stands on, in words."""
    parts = {phase: [row for row in rows if row["phase"] == phase] for phase in ("search", "report")}
    seeds = sorted({row["seed"] for row in parts["report"]})
    requests = {phase: ", ".join(sorted({row["request"] for row in found})) or "none" for phase, found in parts.items()}
    trials = len({row["settings"] for row in parts["search"] if row["method"] == "mu_mis"})
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    return (
        f"Fashion-MNIST, 10,000 training samples. {len(parts['report'])} runs on {requests['report']}, training seeds "
        f"{', '.join(seeds)}; settings are the best of {trials} a method, model and kind of request, searched on "
        f"{requests['search']} with other trained models. Unlearning took {minutes:.0f} minutes of one core in all."
    )


def table(rows: Rows) -> str:
    """Gaps by model and kind of request, and the median cost."""
    columns = _columns(rows)
    heads = ["method", *(f"{model}, {KINDS[kind]}" for model, kind in columns), "cost"]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + "---|" * len(heads)]
    for group, methods in GROUPS.items():
        lines.append(" | ".join(["", group, *[""] * (len(heads) - 1), ""]).strip())
        for method in methods:
            found = [reported(rows, method, model, kind) for model, kind in columns]
            if any(found):
                costs = [float(row["cost_percent"]) for some in found for row in some]
                cost = "–" if method in GROUPS["*references*"] else f"{statistics.median(costs):.1f} %"
                lines.append(" | ".join(["", method, *map(cell, found), cost, ""]).strip())
    return "\n".join(lines)


def verdicts(rows: Rows) -> str:
    """For each column which methods beat MU-Mis, and so which to take.

    One method beats another if its mean gap is smaller by more than the noise floor, the mean gap between two retrained
    models; doing nothing is one of the methods here.
    """
    lines = []
    for model, kind in _columns(rows):
        gaps = {
            method: gap_over_seeds(found)[0]
            for group in GROUPS.values()
            for method in group
            if (found := reported(rows, method, model, kind))
        }
        floor, ours = gaps.pop("retrained again", 0.0), gaps.get("mu_mis")
        if ours is None:
            continue
        better = {
            group: sorted((gaps[name], name) for name in methods if name in gaps and gaps[name] < ours - floor)
            for group, methods in GROUPS.items()
        }
        parts = [
            f"{heading} {', '.join(f'`{name}` {gap:.2f}' for gap, name in better[group])}"
            for group, heading in (
                ("*forget set alone*", "better without retained data:"),
                ("*with the retain set*", "better with it:"),
            )
            if better[group]
        ]
        if better["*references*"]:
            parts.append("doing nothing is better, too")
        nothing = gaps["do nothing"]
        lines.append(
            f"- {model}, {KINDS[kind]}: `mu_mis` {ours:.2f}, doing nothing {nothing:.2f}, floor {floor:.2f}; "
            + ("; ".join(parts) if parts else "no method is better by more than the floor")
            + "."
        )
    return "\n".join(lines)


def body(rows: Rows) -> str:
    """The part of docs/methods.md."""
    return "\n\n".join((counted(rows), table(rows), verdicts(rows)))


def _columns(rows: Rows) -> list[tuple[str, str]]:
    return [(model, kind) for model in sorted({row["model"] for row in rows}) for kind in KINDS]


def draw(rows: Rows, path: Path) -> None:
    """Gap against cost, a panel for each model and kind of request."""
    import matplotlib
    from matplotlib.figure import Figure

    columns = _columns(rows)
    models = list(dict.fromkeys(model for model, _ in columns))
    figure = Figure(figsize=(4 * len(KINDS) + 2, 3.5 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), len(KINDS), squeeze=False)
    contestants = [(name, marker) for group, marker in _MARKERS.items() for name in GROUPS[group]]
    colours = matplotlib.colormaps["tab20"]
    for (model, kind), axis in zip(columns, axes.flat, strict=True):
        for number, (method, marker) in enumerate(contestants):
            found = reported(rows, method, model, kind)
            if found:
                cost = statistics.mean(float(row["cost_percent"]) for row in found)
                mean, deviation, _ = gap_over_seeds(found)
                spread = ([min(mean, deviation)], [deviation])
                style = {"marker": marker, "color": colours(number), "capsize": 2, "linestyle": "none"}
                axis.errorbar([cost], [mean], spread, label=method, **style)
        for method, dashes in (("retrained again", ":"), ("do nothing", "--")):
            found = reported(rows, method, model, kind)
            if found:
                axis.axhline(gap_over_seeds(found)[0], linestyle=dashes, color="grey", label=method)
        axis.set_xscale("symlog")
        axis.set_yscale("symlog")
        axis.set(title=f"{model}, {KINDS[kind]}", xlabel="cost, % of retraining", ylabel="average gap, points")
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
    named: dict[str, Any] = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(list(named.values()), list(named), loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main_of_report(__doc__, CSV, PART, body, draw)
