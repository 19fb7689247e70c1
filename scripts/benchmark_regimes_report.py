"""The benchmark by regime as a table of docs/benchmark.md, and as a figure of depth against gap.

python scripts/benchmark_regimes_report.py            # rewrites the table between the marks, and the figure
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark_regimes import AGAIN, CSV, DO_NOTHING, OF_CLASSES, RETRAINED, WITH_REFERENCES, WITH_UNSEEN
from benchmark_settings import measured_as, reported, setting_of
from make_suggestions import lines_of
from page_parts import Part, main_of_report

from hf_unlearn.commands.advice import CONTROLS, FLOOR, NOTHING, OURS, SURE, Held, held_against, spoils, value_of
from hf_unlearn.commands.suggest import NEEDED
from hf_unlearn.trainers.registry import METHODS

PART = Part("benchmark by regime", "benchmark_regimes_report.py", "docs/benchmark.md")
Rows = list[dict[str, str]]
MASKS = ["mask_logit", "head_only"]
# What a user gets who sets nothing.
UNTUNED = f"{OURS}, defaults"
PANELS_OF_A_ROW = 2
GROUPS = {
    "*references*": [RETRAINED, AGAIN, DO_NOTHING],
    "*controls*": MASKS,
    "*forget set alone*": [
        OURS,
        UNTUNED,
        *(name for name, each in METHODS.items() if each.retain_free and name not in (OURS, *MASKS, *WITH_UNSEEN)),
    ],
    "*with samples never seen*": [WITH_REFERENCES, *(name for name in WITH_UNSEEN if METHODS[name].retain_free)],
    "*with the retain set*": [name for name, each in METHODS.items() if not each.retain_free],
}
# The columns: title, figure, digits.
COLUMNS = (
    ("gap", "average_gap", 2),
    ("gap, check on", "checked_gap", 2),
    ("depth, %", "depth", 0),
    ("cosine", "forget_cosine", 2),
    ("shifted logit, %", "shifted_recall_1", 0),
    ("prototype, %", "prototype_recall", 0),
    ("forget accuracy, %", "forget_accuracy", 1),
    ("JS, nats", "js_divergence", 2),
    ("RMIA, AUC %", "rmia_auc", 1),
    ("loss attack, %", "mia_loss", 1),
    ("cost, %", "cost_percent", 1),
)
# Of the table over all settings: title, kinds of request, figure, digits.
SUMMARY = (
    ("gap, a class", ("class",), "average_gap", 2),
    ("gap, classes", ("classes",), "average_gap", 2),
    ("gap, a sub-class", ("subclass",), "average_gap", 2),
    ("gap, samples", ("random",), "average_gap", 2),
    ("gap, a person", ("person",), "average_gap", 2),
    ("depth, classes, %", ("class", "classes"), "depth", 0),
    ("RMIA off by, samples and persons", ("random", "person"), "rmia_auc", 1),
)


def by_setting(rows: Rows) -> dict[tuple[str, ...], Rows]:
    """The rows of each setting."""
    return {key: [row for row in rows if setting_of(row) == key] for key in map(setting_of, rows)}


def untuned(rows: Rows) -> Rows:
    """MU-Mis with its defaults, under a name of its own; none where the search chose nothing else of it."""
    if all(row["settings"] == "{}" for row in reported(rows) if row["method"] == OURS):
        return []
    ran = [row for row in rows if row["phase"] == "report" and row["method"] == OURS and row["settings"] == "{}"]
    return [{**row, "method": UNTUNED} for row in {measured_as(row): row for row in ran}.values()]


def cell(rows: Rows, figure: str, digits: int, spread: bool = True) -> str:
    """The mean over seeds, with the deviation where there are several."""
    values = [float(row[figure]) for row in rows if row[figure] != ""]
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 or not spread else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def table(rows: Rows) -> str:
    """One setting: every method that ran, by what it takes."""
    columns = [each for each in COLUMNS if any(row[each[1]] for row in rows)]
    lines = ["| method | seeds | " + " | ".join(title for title, _, _ in columns) + " |"]
    lines.append("|" + "---|" * (2 + len(columns)))
    for group, methods in GROUPS.items():
        found = {name: some for name in methods if (some := [row for row in rows if row["method"] == name])}
        if found:
            lines.append(f"| {group} |" + " |" * (1 + len(columns)))
        for name, some in found.items():
            # The pairs of retrained models share models: their spread would be too small.
            cells = [cell(some, figure, digits, spread=name != AGAIN) for _, figure, digits in columns]
            lines.append(f"| {name} | {len(some)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(rows: Rows) -> str:
    """Over all settings: means of the means over seeds. A method that lacks one of a column's settings has none there.

    RMIA is off by the distance of the AUC to the retrained model's.
    """
    settings = by_setting(rows)
    columns: list[tuple[str, list[Rows], str, int]] = []
    for title, kinds, figure, digits in SUMMARY:
        among = [some for key, some in settings.items() if _kind(key) in kinds and any(row[figure] for row in some)]
        if among:
            columns.append((f"{title} ({len(among)})", among, figure, digits))
    lines = [f"| method | {' | '.join(title for title, *_ in columns)} |", "|" + "---|" * (len(columns) + 1)]
    for group, methods in GROUPS.items():
        cells = {
            name: [_mean_of(among, name, figure, digits) for _, among, figure, digits in columns] for name in methods
        }
        found = {name: each for name, each in cells.items() if set(each) != {"–"}}
        if found:
            lines.append(f"| {group} |" + " |" * len(columns))
        lines += [f"| {name} | {' | '.join(each)} |" for name, each in found.items()]
    return "\n".join(lines)


def _mean_of(settings: list[Rows], method: str, figure: str, digits: int) -> str:
    means = []
    for some in settings:
        values = _by_seed(some, method, figure)
        if figure == "rmia_auc":
            target = _by_seed(some, RETRAINED, figure)
            values = {seed: abs(value - target[seed]) for seed, value in values.items() if seed in target}
        if not values:
            return "–"
        means.append(statistics.mean(values.values()))
    return f"{statistics.mean(means):.{digits}f}"


def _by_seed(rows: Rows, method: str, figure: str) -> dict[str, float]:
    return {row["seed"]: float(row[figure]) for row in rows if row["method"] == method and row[figure] != ""}


def verdicts(rows: Rows) -> str:
    """One setting: by gap, membership and depth, which methods are nearer to the retrained model than MU-Mis.

    By more than two retrained models differ, on the training seeds that both have: see [`held_against`]. Refused runs
    count as the original; what [`spoils`] the answers is not named.
    """
    there = {(line["method"], line["needs"]): line for line in lines_of(CSV.stem, rows)}
    ours, again, nothing = ((name, "forget") for name in (OURS, FLOOR, NOTHING))
    said = []
    for sure, (key, title) in SURE.items():
        measured = {name: line for name, line in there.items() if key in line}
        if not {ours, again} <= measured.keys():
            continue
        floor = value_of(measured[again], sure)
        held = [
            held_against(line, measured[ours], sure)
            for name, line in measured.items()
            if name not in (ours, again) and name[0] not in CONTROLS and not spoils(line, there)
        ]
        better = sorted((each for each in held if each.seeds and each.lead > floor), key=lambda each: each.theirs)
        parts = [
            f"with {needed} {', '.join(map(_called, found))}"
            for needs, needed in NEEDED.items()
            if (found := [each for each in better if each.row["needs"] == needs])
        ]
        beside = ((nothing, "doing nothing"), (again, "another retrained model"))
        known = [f"{text} {value_of(measured[name], sure):.2f}" for name, text in beside if name in measured]
        nearer = f"nearer by more than that: {'; '.join(parts)}" if parts else "nothing is nearer by more than that"
        said.append(f"- {title}: {OURS} {value_of(measured[ours], sure):.2f}, {', '.join(known)}; {nearer}.")
    return "\n".join(said)


def _called(held: Held) -> str:
    return f"{held.row['method']} {held.theirs:.2f}"


def left_out(setting: tuple[str, ...], rows: Rows) -> str:
    """The methods that have no row of a setting, in words; none for those that are not made for its kind."""
    ran = {row["method"] for row in rows}
    of_classes = setting[-1].partition(":")[0] in ("class", "classes")
    names = [name for group in GROUPS.values() for name in group if name in (*METHODS, WITH_REFERENCES)]
    names = [name for name in names if name not in (*ran, "retrain")]
    names = [name for name in names if name not in ((WITH_REFERENCES,) if of_classes else OF_CLASSES)]
    return f"No row of this setting: {', '.join(names)}." if names else ""


def counted(rows: Rows) -> str:
    """What ran, and what did not, in words."""
    from benchmark_regimes_settings import SETTINGS

    ran = reported(rows)
    done = set(map(setting_of, ran))
    tried = searched_kinds(rows)
    among = [setting for setting in done if _searched_as(setting) in tried]
    if not among:
        searched = "with default settings: no search ran"
    else:
        searched = "after a search" if len(among) == len(done) else f"after a search in {len(among)} of the settings"
    missing = [
        f"{each.full_name}"
        for each in SETTINGS
        if (each.case.regime, each.case.recipe.dataset, each.case.recipe.architecture, each.name) not in done
    ]
    of_seed = {seed: {setting_of(row) for row in ran if row["seed"] == seed} for seed in {row["seed"] for row in ran}}
    seeds = ", ".join(
        seed if len(of_seed[seed]) == len(done) else f"{seed} (of {len(of_seed[seed])} settings)"
        for seed in sorted(of_seed, key=int)
    )
    said = f"{len(ran)} rows of {len(done)} settings, training seeds {seeds}, {searched}."
    return said + (f" Not run: {', '.join(missing)}." if missing else "")


def searched_kinds(rows: Rows) -> set[tuple[str, ...]]:
    """What was searched: architectures and kinds of request."""
    return {_searched_as(setting_of(row)) for row in rows if row["phase"] == "search"}


def _searched_as(setting: tuple[str, ...]) -> tuple[str, ...]:
    """What a search is chosen by: the architecture, and the kind of its request."""
    return setting[2], _kind(setting)


def _kind(setting: tuple[str, ...]) -> str:
    """Of its request."""
    return setting[-1].partition(":")[0]


def body(rows: Rows) -> str:
    """The part of the page."""
    ran, defaults = reported(rows), untuned(rows)
    parts = [
        counted(rows),
        "**All settings**: means over those of a kind, in brackets how many.",
        summary([*ran, *defaults]),
    ]
    beside = by_setting(defaults)
    for setting, some in by_setting(ran).items():
        tables = table([*some, *beside.get(setting, [])]), verdicts(some), left_out(setting, some)
        parts += [f"**{', '.join(setting)}**", *tables]
    return "\n\n".join(part for part in parts if part)


def draw(rows: Rows, path: Path) -> None:
    """Depth against gap, a panel for each setting that has a depth."""
    from matplotlib.figure import Figure

    settings = {key: some for key, some in by_setting(reported(rows)).items() if any(row["depth"] for row in some)}
    columns = min(max(len(settings), 1), PANELS_OF_A_ROW)
    lines = max(-(-len(settings) // columns), 1)
    figure = Figure(figsize=(7 * columns, 5 * lines), layout="constrained")
    axes: Any = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(settings) :]:
        axis.set_axis_off()
    markers = dict(zip(GROUPS, "xD^os", strict=True))
    for (setting, ran), axis in zip(settings.items(), axes.flat, strict=False):
        for group, methods in GROUPS.items():
            found = {name: [row for row in ran if row["method"] == name] for name in methods}
            points = {name: _point(some) for name, some in found.items() if any(row["depth"] for row in some)}
            if points:
                axis.scatter(*zip(*points.values(), strict=True), marker=markers[group], label=group.strip("*"))
            for name, point in points.items():
                axis.annotate(name, point, fontsize=7, xytext=(3, 3), textcoords="offset points")
        axis.set_xscale("symlog", linthresh=0.5)
        axis.set(title=", ".join(setting), xlabel="average gap, points", ylabel="depth, %")
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _point(rows: Rows) -> tuple[float, float]:
    def mean(of: Callable[[dict[str, str]], str]) -> float:
        return statistics.mean(float(of(row)) for row in rows if of(row))

    return mean(lambda row: row["average_gap"]), mean(lambda row: row["depth"])


if __name__ == "__main__":
    main_of_report(__doc__, CSV, PART, body, draw)
