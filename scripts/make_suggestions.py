"""The figures that `hf-unlearn suggest` answers from: the committed results, means over training seeds.

    python scripts/make_suggestions.py

Writes hf_unlearn/commands/suggest_rows.json, which travels with the package; a test holds it equal to the CSVs. A row
is a method on one setting of one study. Earlier defaults of a method stand beside later ones: a study says what it ran.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

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
    **{name: name for name in METHODS},
}
WITH_UNSEEN = {"0 references": "mu_mis", "500 references": "mu_mis", "1000 references": "mu_mis"}
UNSEEN_TOO = ("scar", "lotus", "lotus_forget", "regun")
FIGURES = ("gap", "depth", "membership", "cost")


def needs(method: str, with_unseen: bool) -> str:
    """What data a method takes: `forget`, `unseen`, `retain`."""
    known = METHODS.get(method)
    if known is not None and not known.retain_free:
        return "retain"
    return "unseen" if with_unseen else "forget"


def lines_of(source: str, rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """One line for each method and setting of a study."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    levels: dict[tuple[str, ...], float] = {}
    for row in rows:
        row = {"regime": "early", "dataset": "fashion-mnist", "seed": "0", **row}
        if source == "study_references" and row["dataset"].startswith("fashion-mnist"):
            row["regime"] = "memorised"
        if row.get("phase") == "search":
            continue
        setting = tuple(row[name] for name in ("regime", "dataset", "model", "request"))
        called = row.get("variant") or row["method"]
        if called == "retrained":
            if row.get("rmia_auc"):
                levels[(*setting, row["seed"])] = float(row["rmia_auc"])
            continue
        references = called in WITH_UNSEEN
        method = WITH_UNSEEN.get(called) or NAMES.get(called)
        if method is not None:
            unseen = (references and not called.startswith("0 ")) or method in UNSEEN_TOO
            groups[(*setting, method, needs(method, unseen))].append(row)
    made = []
    for key, found in groups.items():
        setting = key[:4]
        distances = [
            abs(float(row["rmia_auc"]) - levels[(*setting, row["seed"])])
            for row in found
            if row.get("rmia_auc") and (*setting, row["seed"]) in levels
        ]
        figures = {
            "gap": [float(row["average_gap"]) for row in found if row["average_gap"]],
            "depth": [float(row["depth"]) for row in found if row.get("depth")],
            "membership": distances,
            "cost": [float(row["cost_percent"]) for row in found if row.get("cost_percent")],
        }
        line = dict(zip(("regime", "dataset", "model", "request", "method", "needs"), key, strict=True))
        means = {name: round(statistics.mean(values), 3) for name, values in figures.items() if values}
        made.append({"source": source, **line, "seeds": len(found), **means})
    return made


def suggestions() -> list[dict[str, Any]]:
    """All lines, from the committed CSVs."""
    studies = ("study_regimes", "study_references", "study_depth", "benchmark_methods", "benchmark_regimes")
    return [line for study in studies for line in lines_of(study, read_rows(RESULTS / f"{study}.csv"))]


def text() -> str:
    """The file, a line for each row."""
    return "[\n" + ",\n".join(f" {json.dumps(line)}" for line in suggestions()) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
