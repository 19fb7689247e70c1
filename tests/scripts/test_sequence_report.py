"""The table of requests over time in docs/ is that of the committed figures, and each cell is what it claims."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
OWN = ("sequence_report", "study_defaults", "page_parts")


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import sequence_report

    yield sequence_report
    for name in OWN:
        sys.modules.pop(name, None)


def row(route, step, gap, union="0", test="90", back="", above="", apart="0"):
    return {
        **{"architecture": "resnet-tiny", "sequence": "persons", "route": route, "step": str(step), "gap": gap},
        **{"union_accuracy": union, "remaining_test_accuracy": test, "most_back": back},
        **{"most_back_above": above, "most_apart": apart, "depth": ""},
    }


def rows():
    return [
        row("do nothing", 0, "5"),
        row("retrained", 2, "0", union="88"),
        row("retrained again", 2, "0.5", apart="11.54"),
        row("one by one", 1, "4", back="0", above="0"),
        row("one by one", 2, "3.333", union="91", back="3.85", above="1.2"),
        row("from the first", 2, "2", test="92", back="0", above="0"),
    ]


def test_the_page_holds_the_table_of_the_committed_figures(report):
    from study_defaults import read_rows

    found = read_rows(report.CSV)
    assert report.PART.holds(report.body(found))
    routes = {"do nothing", "retrained", "retrained again", "one by one", "from the first"}
    for kind in report.kinds_of(found):
        own = [each for each in found if (each["architecture"], each["sequence"]) == kind]
        assert {each["route"] for each in own} >= routes
        # What is all at once is of all, and nothing was left out on the way.
        count = max(int(each["step"]) for each in own)
        assert [step for step, _ in report.line_of(found, kind, "one by one", "gap")] == [*range(1, count + 1)]
        assert report.line_of(found, kind, "from the first", "gap")[-1][0] == count


def test_cells_are_of_the_last_step_and_what_came_back_of_all_steps(report):
    lines = report.body(rows()).splitlines()
    assert "| ResNet | 2 persons | 5.00 | 3.33 | 2.00 | 0.50 |" in lines
    assert "first not kept" not in lines[2]
    assert "| ResNet | persons | 90.0 | 90.0 | 92.0 | 88.0 | 91.0 | 0.0 | 3.9 / 0.0 | 1.2 / 0.0 | 11.5 |" in lines


def test_it_is_drawn(report, tmp_path):
    report.draw(rows(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
