"""The figures that `hf-unlearn suggest` answers from: the committed results, by training seed.

    python scripts/make_suggestions.py

Writes hf_unlearn/commands/suggest_rows.json, which travels with the package; a test holds it equal to the CSVs. A row
is a method on one setting of one study, and has its seeds and a value of each figure for each of them (null: none). Of
a method that ran several times with one seed the last run counts, in benchmark_regimes.csv what a search chose; a run
that was refused leaves the original, whose figures count. Earlier defaults of a method stand beside later ones: a study
says what it ran.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmark_regimes import WITH_REFERENCES, WITH_UNSEEN
from benchmark_settings import reported
from study_defaults import RESULTS, read_rows

from hf_unlearn.trainers.registry import METHODS

FILE = Path(__file__).resolve().parent.parent / "hf_unlearn" / "commands" / "suggest_rows.json"
# What the studies call methods and controls; what is not here is a variant of a method, and no choice.
NAMES = {
    "default": "mu_mis",
    "SCRUB": "scrub",
    "SSD": "ssd",
    "head only": "head_only",
    "mask the logit": "mask_logit",
    "do nothing": "do nothing",
    "retrained again": "floor",
    WITH_REFERENCES: "mu_mis",
    **{name: name for name in METHODS},
}
# MU-Mis with reference samples, and what a study calls it without.
REFERENCES = ("500 references", "1000 references", WITH_REFERENCES)
WITHOUT = "0 references"


def needs(method: str, with_unseen: bool) -> str:
    """What data a method takes: `forget`, `unseen`, `retain`."""
    known = METHODS.get(method)
    if known is not None and not known.retain_free:
        return "retain"
    return "unseen" if with_unseen else "forget"


def lines_of(source: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """One line for each method and setting of a study."""
    groups: dict[tuple[str, ...], dict[int, dict[str, str]]] = defaultdict(dict)
    retrained: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        row = {"regime": "early", "dataset": "fashion-mnist", "seed": "0", **row}
        if source == "study_references" and row["dataset"] != "digits":
            row["regime"] = "memorised"
        if row.get("phase") == "search":
            continue
        setting = tuple(row[name] for name in ("regime", "dataset", "model", "request"))
        called = row.get("variant") or row["method"]
        if called == "retrained":
            retrained[(*setting, row["seed"])] = row
            continue
        method = "mu_mis" if called in (*REFERENCES, WITHOUT) else NAMES.get(called)
        if method is not None:
            unseen = called in REFERENCES or method in WITH_UNSEEN
            groups[(*setting, method, needs(method, unseen))][int(row["seed"])] = row
    made = []
    for key, runs in groups.items():
        setting, seeds = key[:4], sorted(runs)
        idle = groups.get((*setting, "do nothing", "forget"), {})
        found = {seed: _left(row, idle.get(seed)) for seed, row in runs.items()}
        levels = {seed: retrained.get((*setting, str(seed)), {}) for seed in seeds}
        figures = {
            "gap": [_number(found[seed].get("average_gap")) for seed in seeds],
            "depth": [_number(found[seed].get("depth")) for seed in seeds],
            "membership": [_distance("rmia_auc", found[seed], levels[seed]) for seed in seeds],
            "remaining": [_distance("test_accuracy_remaining", found[seed], levels[seed]) for seed in seeds],
            "cost": [_number(found[seed].get("cost_percent")) for seed in seeds],
        }
        line = dict(zip(("regime", "dataset", "model", "request", "method", "needs"), key, strict=True))
        measured = {name: values for name, values in figures.items() if values != [None] * len(seeds)}
        made.append({"source": source, **line, "seeds": seeds, **measured})
    return made


def _left(row: dict[str, str], idle: dict[str, str] | None) -> dict[str, str]:
    """What a run leaves its user with: a refused one the original, which is that of doing nothing."""
    if idle is None or not row.get("stopped", "").startswith("refused"):
        return row
    return {**idle, "cost_percent": row.get("cost_percent", "")}


def _number(text: str | None) -> float | None:
    return round(float(text), 3) if text else None


def _distance(figure: str, row: dict[str, str], retrained: dict[str, str]) -> float | None:
    """Of a figure in percent to the retrained model's, points."""
    said, level = row.get(figure), retrained.get(figure)
    return round(abs(float(said) - float(level)), 3) if said and level else None


def suggestions() -> list[dict[str, Any]]:
    """All lines, from the committed CSVs."""
    studies = ("study_regimes", "study_references", "study_depth", "benchmark_methods", "benchmark_regimes")
    rows = {study: read_rows(RESULTS / f"{study}.csv") for study in studies}
    rows["benchmark_regimes"] = reported(rows["benchmark_regimes"])
    return [line for study, some in rows.items() for line in lines_of(study, some)]


def text() -> str:
    """The file, a line for each row."""
    return "[\n" + ",\n".join(f" {json.dumps(line)}" for line in suggestions()) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
