"""The table of audits in docs/ is that of the committed figures, and a row takes the place of its predecessor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in [name for name in sys.modules if name.startswith(("audits_", "study_", "page_parts"))]:
        del sys.modules[name]


def test_the_page_holds_the_table_of_the_committed_figures(scripts):
    import audits_report
    from study_defaults import read_rows

    rows = read_rows(audits_report.CSV)
    assert audits_report.PART.holds(audits_report.body(rows))
    assert rows and all(int(row["num_models"]) >= 32 for row in rows)
    # An audit that does not tell doing nothing from retraining says nothing of a method.
    settings = {(row["model"], row["request"]) for row in rows}
    told = {(row["model"], row["request"]) for row in rows if row["method"] == "nothing" and row["verdict"] == "fails"}
    assert told == settings


def test_a_row_takes_the_place_of_its_predecessor(scripts, tmp_path):
    from study_audits import keep
    from study_defaults import read_rows

    path = tmp_path / "audits.csv"
    common = {"model": "resnet", "request": "class:eight", "num_models": 32}
    keep(path, {**common, "method": "retrain", "klom": 1.0})
    keep(path, {**common, "method": "nothing", "klom": 9.0, "u_lira_tpr_at_01": None})
    keep(path, {**common, "method": "retrain", "klom": 2.0})
    found = [(row["method"], row["klom"]) for row in read_rows(path)]
    assert found == [("nothing", "9.0"), ("retrain", "2.0")]
