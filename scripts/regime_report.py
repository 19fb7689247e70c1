"""The study of regimes as the tables of docs/regimes.md and README.md, and as a figure.

python scripts/regime_report.py            # rewrites the tables between the marks, and the figure
"""

from __future__ import annotations

import statistics
from pathlib import Path

from page_parts import Part, main_of_report
from study_defaults import RESULTS, read_rows

CSV = RESULTS / "study_regimes.csv"
PART = Part("regimes", "regime_report.py", "docs/regimes.md")
SHORT_PART = Part("results", "regime_report.py", "README.md")
Rows = list[dict[str, str]]
SHOWN = {
    "retrained again": "floor",
    "do nothing": "do nothing",
    "mask the logit": "mask the logit",
    "head only": "head only",
    "default": "**default**",
    "paper": "paper's difference",
    "SCRUB": "SCRUB",
    "SSD": "SSD",
}
REGIMES = ["early", "memorised", "augmented", "fine-tuned", "many weights", "larger images"]
MEMBERSHIP = ("retrained", "do nothing", "head only", "default", "SCRUB", "SSD")
# Without these rows a setting is not finished.
NEEDED = ("retrained", "retrained again", "do nothing", "default", "head only")


def setting_of(row: dict[str, str]) -> tuple[str, ...]:
    """What rows are compared within, but for the seed."""
    return row["regime"], row["dataset"], row["model"], row["request"]


def complete(rows: Rows) -> Rows:
    """Rows of settings and seeds whose every necessary variant was run."""
    found: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        found.setdefault((*setting_of(row), row["seed"]), set()).add(row["variant"])
    return [row for row in rows if found[(*setting_of(row), row["seed"])] >= set(NEEDED)]


def mean(rows: Rows, variant: str, name: str) -> float | None:
    """The mean of a figure over seeds; None if it was not taken."""
    values = [float(row[name]) for row in rows if row["variant"] == variant and row[name] != ""]
    return statistics.mean(values) if values else None


def gap_cell(rows: Rows, variant: str) -> str:
    """The mean average gap over seeds; for refused runs the gap of what was thrown away."""
    chosen = [row for row in rows if row["variant"] == variant]
    if not chosen:
        return "–"
    lost = [row for row in chosen if row["stopped"].startswith("refused")]
    text = f"{statistics.mean(float(row['average_gap']) for row in chosen):.2f}"
    if lost:
        thrown_away = [float(row["refused_gap"]) for row in lost if row["refused_gap"]]
        text += " (refused" + (f": {statistics.mean(thrown_away):.1f}" if thrown_away else "") + ")"
    return text


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def settings(rows: Rows) -> dict[tuple[str, ...], Rows]:
    """The rows of each setting, in the order of the file, regime by regime."""
    found: dict[tuple[str, ...], Rows] = {}
    for row in complete(rows):
        found.setdefault(setting_of(row), []).append(row)
    regimes = list(dict.fromkeys(key[0] for key in found))
    return {key: found[key] for regime in regimes for key in found if key[0] == regime}


def line(cells: list[str]) -> str:
    """A line of a table."""
    return " | ".join(["", *cells, ""]).strip()


def gaps(rows: Rows) -> str:
    """The average gap of every variant, setting by setting."""
    heads = ["regime", "data", "model", "request", "seeds", *SHOWN.values()]
    lines = [line(heads), "|" + "---|" * len(heads)]
    for key, chosen in settings(rows).items():
        seeds = {row["seed"] for row in chosen}
        cells = [cell.replace("|", "\\|") for cell in key]
        lines.append(line([*cells, str(len(seeds)), *(gap_cell(chosen, variant) for variant in SHOWN)]))
    return "\n".join(lines)


def membership(rows: Rows) -> str:
    """Of requests whose label stays: forget accuracy, divergence, and two attacks."""
    heads = ["setting", "", *MEMBERSHIP]
    lines = [line(heads), "|" + "---|" * len(heads)]
    figures = {
        "forget_accuracy": ("forget accuracy, %", 1),
        "sibling_accuracy": ("sibling accuracy, %", 1),
        "js_divergence": ("JS to retrained, nats", 3),
        "mia_loss": ("loss attack, %", 1),
        "rmia_auc": ("RMIA, AUC %", 1),
    }
    for key, chosen in settings(rows).items():
        if key[3].startswith("class"):
            continue
        name = f"{key[0]}, {key[1]}, {key[2]}, {key[3]}"
        for figure, (title, digits) in figures.items():
            values = [mean(chosen, variant, figure) for variant in MEMBERSHIP]
            if any(value is not None for value in values):
                lines.append(line([name, title, *(number(value, digits) for value in values)]))
                name = ""
    return "\n".join(lines)


def by_regime(rows: Rows) -> str:
    """Means over the settings of each regime."""
    heads = ["regime", "requests", "settings", *SHOWN.values()]
    lines = [line(heads), "|" + "---|" * len(heads)]
    for (regime, title), chosen in families(rows).items():
        lines.append(line([regime, title, str(len(chosen)), *(mean_cell(chosen, variant) for variant in SHOWN)]))
    return "\n".join(lines)


def short_body(rows: Rows) -> str:
    """The part of README.md: the mean gap by regime of doing nothing, the masked logit, the default and the floor."""
    heads = ["trained", "to forget", "settings", "do nothing", "mask the logit", "hf_unlearn", "floor", "cost"]
    lines = [line(heads), "|" + "---|" * len(heads)]
    for (regime, title), chosen in families(rows).items():
        values = [mean_of_settings(chosen, variant) for variant in ("do nothing", "mask the logit", "default")]
        floor = mean_of_settings(chosen, "retrained again")
        costs = [float(row["cost_percent"]) for found in chosen for row in found if row["variant"] == "default"]
        cells = [regime, title, str(len(chosen)), *(number(value, 2) for value in [*values, floor])]
        lines.append(line([*cells, f"{statistics.median(costs):.0f} %"]))
    return "\n".join(lines)


def kind_of(request: str) -> str:
    """What a request's samples are, in the words of the tables."""
    if request.startswith("class"):
        return "whole classes"
    return "sub-classes" if request.startswith("subclass") else "labels that stay"


def families(rows: Rows) -> dict[tuple[str, str], list[Rows]]:
    """The settings of each regime, by what a request's samples are."""
    found: dict[tuple[str, str], list[Rows]] = {}
    for key, chosen in settings(rows).items():
        found.setdefault((key[0], kind_of(key[3])), []).append(chosen)
    return {family: found[family] for family in sorted(found, key=lambda family: (REGIMES.index(family[0]), family[1]))}


def mean_of_settings(chosen: list[Rows], variant: str) -> float | None:
    """The mean over settings of the mean average gap over seeds."""
    values = [value for rows in chosen if (value := mean(rows, variant, "average_gap")) is not None]
    return statistics.mean(values) if values else None


def mean_cell(chosen: list[Rows], variant: str) -> str:
    """The mean over settings; in brackets their number, where the variant did not run in all."""
    ran = sum(mean(rows, variant, "average_gap") is not None for rows in chosen)
    text = number(mean_of_settings(chosen, variant), 2)
    return f"{text} ({ran})" if 0 < ran < len(chosen) else text


def body(rows: Rows) -> str:
    """The part of docs/regimes.md."""
    found = settings(rows)
    runs = sum(row["variant"] not in ("retrained", "retrained again", "do nothing") for row in complete(rows))
    return "\n\n".join(
        [
            f"{len(found)} settings, {runs} runs and controls. The mean gap by regime, in points; in brackets, of how "
            "many of the settings, if not of all:",
            by_regime(rows),
            "Setting by setting. *Refused*: the run was undone, so that the gap is that of doing nothing; in brackets "
            "the gap of what was thrown away.",
            gaps(rows),
            "Requests whose label stays in use, beside the retrained model:",
            membership(rows),
        ]
    )


def draw(rows: Rows, path: Path) -> None:
    """The gap of each setting: do nothing, mask the logit, head only, the default, the floor."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = settings(rows)
    styles = {"do nothing": ("o", "0.6"), "mask the logit": ("|", "C0"), "head only": ("s", "C1")}
    styles |= {"SCRUB": ("^", "C2"), "default": ("D", "C3"), "retrained again": ("_", "k")}
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.32 * len(found)), layout="constrained")
    for place, chosen in enumerate(found.values()):
        for variant, (marker, colour) in styles.items():
            value = mean(chosen, variant, "average_gap")
            if value is not None:
                label = SHOWN[variant].strip("*") if place == 0 or variant == "mask the logit" else None
                axes.plot(max(value, 0.01), place, marker, color=colour, label=label, markersize=6)
    labels = [" · ".join(key).replace("$", r"\$") for key in found]
    axes.set(xscale="log", yticks=range(len(found)), xlabel="average gap to the retrained model, points")
    axes.set_yticklabels(labels, fontsize=7)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    axes.legend(once.values(), once.keys(), fontsize=8, loc="upper center", bbox_to_anchor=(0.3, -0.06), ncols=6)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main_of_report(__doc__, CSV, PART, body, draw)
    SHORT_PART.write(short_body(read_rows(CSV)))
