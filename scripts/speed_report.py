"""The speed benchmark's CSV as the lines of docs/cost.md, and as a figure.

python scripts/speed_report.py            # rewrites them between the marks
"""

from __future__ import annotations

from pathlib import Path

from benchmark_speed import CSV, USUAL_ATTENTION
from page_parts import Part, main_of_report

PART = Part("speed", "speed_report.py", "docs/cost.md")
Rows = list[dict[str, str]]
SHOWN = {"textbook": "textbook", "paper's difference": "paper's difference", "default": "default"}
# What the cost was measured against: the part of the CSV, its column and unit, and of what.
SCALES = (
    ("image size", "image_size", "pixels a side", "default"),
    ("classes", "num_labels", "classes", "default"),
    ("forget set", "num_samples", "forget samples", "run"),
    ("processes", "processes", "processes", "run"),
)
# Forward passes of a cross-entropy step and of the paper's, in a piecewise-linear network and in a smooth one.
FLOORS = {"ResNet": 7 / 3, "ViT": 9 / 3}


def _of(rows: Rows, **wanted: str) -> Rows:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _spread(row: dict[str, str]) -> str:
    return f"{float(row['ratio']):.2f} ({float(row['low']):.2f}–{float(row['high']):.2f})"


def table(rows: Rows) -> str:
    """A line for each shape and precision: ratios to a cross-entropy step, and peak memory."""
    heads = ["model", "floor", *SHOWN.values(), "memory: cross-entropy", *SHOWN.values()]
    lines = [" | ".join(["", *heads, ""]).strip(), "|" + "---|" * len(heads)]
    steps = _of(rows, part="step")
    kinds = ("model", "precision", "attention")
    for model, precision, attention in dict.fromkeys(tuple(row[kind] for kind in kinds) for row in steps):
        found = _of(steps, model=model, precision=precision, attention=attention)
        of_model = {row["variant"]: row for row in found}
        base = of_model["cross-entropy"]
        name = f"{model}, {base['image_size']} px, batch {base['batch_size']}, {precision}"
        name += f", {attention}" if attention not in USUAL_ATTENTION else ""
        floor = next(value for kind, value in FLOORS.items() if model.startswith(kind))
        peaks = [of_model[variant]["peak_mib"] or "–" for variant in ("cross-entropy", *SHOWN)]
        cells = [
            name,
            f"{floor:.2f}",
            *(_spread(of_model[variant]) for variant in SHOWN),
            f"{peaks[0]} MiB",
            *peaks[1:],
        ]
        lines.append(" | ".join(["", *cells, ""]).strip())
    return "\n".join(lines)


def growth(rows: Rows) -> str:
    """How the cost grows, a line for each of what it was measured against."""
    lines = []
    for part, column, unit, variant in SCALES:
        found = _of(rows, part=part, variant=variant)
        if not found:
            continue
        base = {row[column]: row for row in _of(rows, part=part, variant="cross-entropy")}
        texts = [
            f"{int(row[column]):,}: × {float(row['ratio']):.2f}"
            + (f" (cross-entropy × {float(base[row[column]]['ratio']):.2f})" if row[column] in base else "")
            for row in found
        ]
        what = "a default step" if variant == "default" else "a whole run of as many steps"
        lines.append(f"- {what.capitalize()} by {unit}: {'; '.join(texts)}.")
    return "\n".join(lines)


def body(rows: Rows) -> str:
    """The part of docs/cost.md."""
    where = sorted({row["device"] for row in rows})
    return "\n\n".join((f"Measured on: {'; '.join(where)}.", table(rows), growth(rows)))


def draw(rows: Rows, path: Path) -> None:
    """Ratios of the steps, and the curves of the rest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 3.6), layout="constrained")
    bars, *curves = figure.subplots(1, 5, width_ratios=(1.5, 1, 1, 1, 0.8))
    steps = [row for row in _of(rows, part="step", precision="fp32") if row["attention"] in USUAL_ATTENTION]
    models = list(dict.fromkeys(row["model"] for row in steps))
    for number, variant in enumerate(SHOWN):
        by_model = {row["model"]: row for row in _of(steps, variant=variant)}
        ratios, low, high = (
            [float(by_model[model][column]) for model in models] for column in ("ratio", "low", "high")
        )
        places = [index + 0.27 * (number - 1) for index in range(len(models))]
        low = [max(0.0, ratio - least) for ratio, least in zip(ratios, low, strict=True)]
        high = [max(0.0, most - ratio) for ratio, most in zip(ratios, high, strict=True)]
        bars.bar(places, ratios, 0.25, yerr=(low, high), label=variant, capsize=2)
    for index, model in enumerate(models):
        floor = next(value for kind, value in FLOORS.items() if model.startswith(kind))
        bars.plot([index - 0.4, index + 0.4], [floor, floor], color="black", linewidth=1)
    bars.set_xticks(range(len(models)), models)
    bars.set(ylabel="cross-entropy steps", title="a step; line: the paper's floor")
    bars.tick_params(axis="x", labelsize=8)
    bars.set_ylim(top=1.3 * bars.get_ylim()[1])
    bars.legend(fontsize=7, loc="upper center", ncols=3)
    for axis, (part, column, _, _) in zip(curves, SCALES, strict=True):
        for variant in dict.fromkeys(row["variant"] for row in _of(rows, part=part)):
            found = _of(rows, part=part, variant=variant)
            axis.plot([int(row[column]) for row in found], [float(row["ratio"]) for row in found], "o-", label=variant)
        axis.set(xlabel=part, ylabel="× the first", title=f"cost by {part}")
        if part == "processes":
            axis.set_xticks([int(row[column]) for row in _of(rows, part=part)])
        else:
            axis.set_xscale("log")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main_of_report(__doc__, CSV, PART, body, draw)
