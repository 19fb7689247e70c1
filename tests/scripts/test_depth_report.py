"""The tables of the depth are what the committed CSV says, and the study's rows are made of the panel."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
OWN = ("depth_report", "study_depth", "study_defaults", "page_parts", "regime_grid", "regime_models", "regime_data")


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import depth_report

    yield depth_report
    for name in OWN:
        sys.modules.pop(name, None)


def row(variant, depth, gap, model="vit"):
    figures = {"linear_probe": "50", "remembered_accuracy": "0", "seconds": ""}
    setting = {"regime": "early", "dataset": "digits", "model": model, "request": "class:two"}
    return setting | {"variant": variant, "depth": depth, "average_gap": gap} | figures


def test_the_page_holds_the_committed_csv(report):
    rows = report.read_rows(report.CSV)
    assert len(report.settings_of(rows)) >= 4
    assert report.PART.holds(report.body(rows))
    assert report.ABLATION.holds(report.ablation(rows))


def test_cells_by_hand(report):
    rows = [row("default", "40", "0.1"), row("default", "80", "0.5", "resnet"), row("do nothing", "", "30")]
    rows.append(row("do nothing", "", "20", "resnet"))
    assert "| default | 2 | 60.0 | 40.0 | 0.30 | 0.50 | 0.0 | – |" in report.ablation(rows)
    assert "all settings" not in report.ablation(rows)
    # A term is held against the default where both ran; the default has a line of its own over all settings.
    table = report.ablation([*rows, row("no features", "30", "0.2")])
    assert "| default | 1 | 40.0 | 40.0 | 0.10 | 0.10 | 0.0 | – |" in table
    assert "| no features | 1 | 30.0 | 30.0 | 0.20 | 0.20 | 0.0 | – |" in table
    assert "| default, all settings | 2 | 60.0 | 40.0 | 0.30 | 0.50 | 0.0 | – |" in table
    assert "no features, all settings" not in table
    assert "| early, digits, vit, class:two | **depth, %** | – | – | – | 40.0 | – |" in report.body(rows)


def test_every_setting_of_the_study_is_one_of_the_grid(report):
    import regime_grid
    import study_depth

    known = {
        (case.regime, case.recipe.dataset, case.recipe.architecture, request.name)
        for case in regime_grid.CASES
        for request in case.requests
    }
    assert {*study_depth.SETTINGS, *study_depth.MORE_SETTINGS} <= known
