"""The tables by regime are what the committed CSVs say, and each cell is what it claims."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
OWN = ("regime_report", "references_report", "study_defaults", "page_parts")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import references_report
    import regime_report

    yield regime_report, references_report
    for name in OWN:
        sys.modules.pop(name, None)


def row(variant, gap, seed="0", stopped="", refused="", request="random:5%", regime="memorised"):
    figures = {"forget_accuracy": "90", "sibling_accuracy": "", "js_divergence": "0.05", "mia_loss": "50"}
    return {
        "regime": regime,
        "dataset": "digits",
        "model": "vit",
        "seed": seed,
        "request": request,
        "variant": variant,
        "average_gap": gap,
        "refused_gap": refused,
        "stopped": stopped,
        "cost_percent": "10",
        "rmia_auc": "",
        **figures,
    }


def test_the_pages_hold_the_committed_csvs(scripts):
    report, references = scripts
    rows = report.read_rows(report.CSV)
    assert len({row["regime"] for row in report.complete(rows)}) >= 3
    assert report.PART.holds(report.body(rows))
    assert report.SHORT_PART.holds(report.short_body(rows))
    assert references.PART.holds(references.body(references.read_rows(references.CSV)))


def whole(seed, gap):
    return [
        row(variant, gap, seed) for variant in ("retrained", "retrained again", "do nothing", "default", "head only")
    ]


def test_cells_by_hand(scripts):
    report, _ = scripts
    rows = [*whole("0", "1"), *whole("1", "2")]
    assert report.gaps(rows).splitlines()[-1] == (
        "| memorised | digits | vit | random:5% | 2 | 1.50 | 1.50 | – | 1.50 | 1.50 | – | – | – |"
    )
    assert report.short_body(rows).splitlines()[-1] == (
        "| memorised | labels that stay | 1 | 1.50 | – | 1.50 | 1.50 | 10 % |"
    )
    lost = [row("paper", "4", stopped="refused: it ran away", refused="40")]
    assert report.gap_cell(lost, "paper") == "4.00 (refused: 40.0)"
    assert "| 90.0 |" in report.membership(rows)


def test_a_setting_that_was_cut_does_not_count(scripts):
    report, _ = scripts
    assert report.settings([*whole("0", "1")[:-1]]) == {}
    assert len(report.complete([*whole("0", "1"), row("default", "3", "1")])) == 5
