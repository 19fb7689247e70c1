"""The tables of the study are what its CSV says, and each cell is what it claims."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import study_report

    yield study_report
    for name in ("study_report", "study_defaults", "page_parts"):
        sys.modules.pop(name, None)


def row(variant, gap, stopped="", target="1", irrelevant="1", remaining="90", request="class:red", model="vit"):
    return {
        "dataset": "digits",
        "model": model,
        "seed": "0",
        "request": request,
        "variant": variant,
        "average_gap": gap,
        "stopped": stopped,
        "target_ratio": target,
        "irrelevant_ratio": irrelevant,
        "test_accuracy_remaining": remaining,
        "forget_accuracy": "0",
        "cost_percent": "2",
    }


def test_the_pages_hold_the_committed_csv(report):
    rows = report.read_rows(report.RESULTS / "study_defaults.csv")
    assert len(report.complete(rows)) > 100
    assert report.PART.holds(report.body(rows))


def test_cells_by_hand(report):
    rows = [
        row("retrained", "0", remaining="92"),
        row("do nothing", "37"),
        row("paper", "30", stopped="refused: unlearning failed"),
        row("guards alone", "1"),
        row("default", "0.5", target="4", remaining="90"),
    ]
    line = report.table(rows).splitlines()[-1]
    assert line == (
        "| one or two classes, ViTs | 1 | 37.00 (37.00) | –, 1 of 1 refused | 1.00 (1.00) | 0.50 (0.50) | 2.0 | 0 of 1 "
        "| 2.0–2.0 % |"
    )


def test_a_setting_that_was_cut_does_not_count(report):
    rows = [row("retrained", "0"), row("default", "0.5")]
    assert report.complete(rows) == []
