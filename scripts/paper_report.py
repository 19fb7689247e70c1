"""The published objective in the paper's regime as tables of docs/regimes.md, and as a figure of its courses.

python scripts/paper_report.py            # rewrites the tables between the marks, and the figure
"""

from __future__ import annotations

from pathlib import Path

from page_parts import Part, main_of_report
from regime_report import line
from study_defaults import RESULTS, read_rows

CSV, COSINES = RESULTS / "study_paper.csv", RESULTS / "study_paper_cosines.csv"
PART = Part("paper's regime", "paper_report.py", "docs/regimes.md")
Rows = list[dict[str, str]]
RULES = {"nearest": "the nearest point", "v1": "where v1 stops", "v4": "where v4 stops"}


def courses(rows: Rows) -> dict[tuple[str, str, str], Rows]:
    """The points of each course, by model, class and rate."""
    found: dict[tuple[str, str, str], Rows] = {}
    for row in rows:
        found.setdefault((row["model"], row["class"], row["rate"]), []).append(row)
    return found


def body(rows: Rows) -> str:
    """Where each course comes nearest to the retrained model, and where the rules stop it."""
    heads = ["model", "class", "rate", "", "step", "gap, points", "forget accuracy, %", "remaining test accuracy, %"]
    lines = [line(heads), "|" + "---|" * len(heads)]
    for (model, name, rate), points in courses(rows).items():
        shown = [("at the start", points[0])]
        shown += [(RULES[rule], point) for rule in RULES for point in points if rule in point["stop"].split()]
        cells = [model, f"`{name}`", rate]
        for title, point in shown:
            accuracies = (f"{float(point[key]):.1f}" for key in ("forget_accuracy", "test_accuracy_remaining"))
            lines.append(line([*cells, title, point["step"], f"{float(point['gap']):.2f}", *accuracies]))
            cells = ["", "", ""]
    return "\n".join([*lines, "", cosines(read_rows(COSINES))])


def cosines(rows: Rows) -> str:
    """How alike the gradients of two samples are, by model."""
    heads = ["mean size of the cosine between gradients", "two forgotten samples", "a forgotten and a retained one"]
    lines = [line(heads), "|" + "---|" * len(heads)]
    for row in rows:
        values = (f"{float(row[key]):.2f}" for key in ("within", "across"))
        lines.append(line([f"{row['model']}, `{row['class']}`", *values]))
    return "\n".join(lines)


def draw(rows: Rows, path: Path) -> None:
    """Remaining against forget accuracy on the way, a panel for each model."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(row["model"] for row in rows))
    figure = Figure(figsize=(4.5 * len(models), 4), layout="constrained")
    for axis, model in zip(figure.subplots(1, len(models), squeeze=False).flat, models, strict=True):
        for (owner, name, rate), points in courses(rows).items():
            if owner == model:
                places = (
                    [float(point[key]) for point in points] for key in ("forget_accuracy", "test_accuracy_remaining")
                )
                axis.plot(*places, marker=".", label=f"{name}, rate {rate}")
        axis.set(
            title=model, xlabel="forget accuracy, %", ylabel="remaining test accuracy, %", xlim=(102, -2), ylim=(0, 100)
        )
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main_of_report(__doc__, CSV, PART, body, draw)
