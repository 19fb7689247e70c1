"""The published objective in the paper's regime: its stop rules, and that the page shows the committed courses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def imported(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    before = set(sys.modules)
    import paper_report
    import study_paper

    yield study_paper, paper_report
    for name in set(sys.modules) - before:
        if (SCRIPTS / f"{name}.py").exists():
            del sys.modules[name]


def points_of(study, losses, recoveries, forget=None):
    forget = forget or [100.0] * len(losses)
    figures = [{"forget_accuracy": each, "test_accuracy_remaining": 90.0, "test_accuracy": 90.0} for each in forget]
    return [study.Point(step, *each) for step, each in enumerate(zip(losses, recoveries, figures, strict=True))]


def test_the_page_holds_the_committed_courses(imported):
    _, report = imported
    rows = report.read_rows(report.CSV)
    assert report.PART.holds(report.body(rows))
    assert {model for model, _, _ in report.courses(rows)} == {row["model"] for row in report.read_rows(report.COSINES)}


def test_a_course_is_shown_at_its_start_and_where_each_rule_stops(imported):
    _, report = imported
    row = {"model": "m", "class": "R", "rate": "0.1", "forget_accuracy": "50", "test_accuracy_remaining": "90"}
    rows = [
        {**row, "step": str(step), "gap": str(9 - step), "stop": stop}
        for step, stop in enumerate(["", "v1 v4", "nearest"])
    ]
    lines = report.body(rows).splitlines()[2:6]
    assert lines[0] == "| m | `R` | 0.1 | at the start | 0 | 9.00 | 50.0 | 90.0 |"
    assert lines[1].startswith("|  |  |  | the nearest point | 2 | 7.00")
    assert [each.split(" | ")[3:6] for each in lines[2:]] == [[f"where v{n} stops", "1", "8.00"] for n in (1, 4)]


def test_the_stop_rules(imported):
    study, _ = imported
    points = points_of(study, [0.0, -1.0, -3.0, -6.0], [1.0, 0.4, 0.7, 0.9])
    assert study.by_loss_drop(points, 3.0) == 2 and study.by_loss_drop(points, 7.0) == 3
    # Above its lowest and above δ: 1.0 at the start is not on the way back.
    assert study.by_recovery(points, 0.5) == 2 and study.by_recovery(points, 0.8) == 3
    assert study.by_recovery(points, 2.0) == 3, "at the end if never"


def test_the_nearest_point_is_that_of_the_smallest_gap(imported):
    study, _ = imported
    points = points_of(study, [0.0] * 3, [1.0] * 3, forget=[100.0, 40.0, 0.0])
    retrained = {"forget_accuracy": 30.0, "test_accuracy_remaining": 90.0, "test_accuracy": 90.0}
    assert study.best(points, retrained) == 1
