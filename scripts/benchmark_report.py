"""The benchmark's CSV as the table of the README, and as a figure of gap against cost.

python scripts/benchmark_report.py            # rewrites README.md between the marks, if they are there
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from benchmark_methods import CSV
from study_defaults import read_rows

from hf_unlearn.trainers.registry import METHODS

README = Path(__file__).parents[1] / "README.md"
MARKS = ("<!-- benchmark: begin, by scripts/benchmark_report.py -->", "<!-- benchmark: end -->")
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
    """Mean ± standard deviation over training seeds; how many runs were refused."""
    if not rows:
        return "–"
    mean, deviation, _ = gap_over_seeds(rows)
    lost = sum(row["stopped"].startswith("refused") for row in rows)
    return f"{mean:.2f} ± {deviation:.2f}" + (f", {lost} of {len(rows)} refused" if lost else "")


def table(rows: Rows) -> str:
    """The README's table: gaps by model and kind of request, and the median cost."""
    models = sorted({row["model"] for row in rows})
    columns = [(model, kind) for model in models for kind in KINDS]
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


def rendered(text: str, rows: Rows) -> str:
    """`text` with the part between the marks made anew."""
    before, found, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{table(rows)}\n{MARKS[1]}{after}" if found else text


def draw(rows: Rows, path: Path) -> None:
    """Gap against cost, a panel for each model and kind of request."""
    from matplotlib.figure import Figure

    models = sorted({row["model"] for row in rows})
    figure = Figure(figsize=(4 * len(KINDS), 3.5 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), len(KINDS), squeeze=False)
    for model, line in zip(models, axes, strict=True):
        for kind, axis in zip(KINDS, line, strict=True):
            for group, marker in (("*forget set alone*", "o"), ("*with the retain set*", "s")):
                for method in GROUPS[group]:
                    found = reported(rows, method, model, kind)
                    if found:
                        cost = statistics.mean(float(row["cost_percent"]) for row in found)
                        mean, deviation, _ = gap_over_seeds(found)
                        axis.errorbar(cost, mean, deviation, marker=marker, capsize=2)
                        axis.annotate(method, (cost, mean), fontsize=7)
            for method, style in (("retrained again", ":"), ("do nothing", "--")):
                found = reported(rows, method, model, kind)
                if found:
                    axis.axhline(gap_over_seeds(found)[0], linestyle=style, color="grey", label=method)
            axis.set(title=f"{model}, {KINDS[kind]}", xlabel="cost, % of retraining", ylabel="average gap, points")
            axis.set_xscale("symlog")
            axis.set_yscale("symlog")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=CSV)
    flags = parser.parse_args()
    rows = read_rows(flags.csv)
    README.write_text(rendered(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    draw(rows, flags.csv.with_suffix(".png"))
    print(table(rows))


if __name__ == "__main__":
    main()
