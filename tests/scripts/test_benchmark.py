"""The benchmark's search is fair and repeatable, and its report says what the CSV says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from hf_unlearn.trainers.registry import METHODS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


def row(phase="report", method="delete", seed=0, gap=1.0, request="class:Trouser", settings="{}", stopped=""):
    return {
        **{"phase": phase, "model": "vit", "seed": str(seed), "request": request, "method": method},
        **{"settings": settings, "average_gap": str(gap), "cost_percent": "2.0", "stopped": stopped},
    }


def test_every_method_gets_as_many_trials(script):
    settings = script("benchmark_settings")
    for method, space in settings.SPACES.items():
        tried = settings.candidates(method, 6)
        assert len(tried) == 6 and tried[0] == {} and tried == settings.candidates(method, 6)
        assert all(set(one) == set(space) for one in tried[1:])
        for one in tried:
            METHODS[method].parameters(**one)


def test_nothing_searched_is_reported(script):
    settings = script("benchmark_settings")
    names = [{request.name for request in requests} for requests in (settings.SEARCHED, settings.REPORTED)]
    assert not names[0] & names[1]
    requests = [{str(request.request) for request in found} for found in (settings.SEARCHED, settings.REPORTED)]
    assert not requests[0] & requests[1]
    assert {name.partition(":")[0] for name in names[0]} == {name.partition(":")[0] for name in names[1]}


def test_the_smallest_gap_of_the_search_is_chosen(script):
    settings = script("benchmark_settings")
    rows = [
        row("search", gap=3.0, settings='{"a": 1}'),
        row("search", gap=2.0, settings='{"a": 2}'),
        row("search", gap=0.1, settings='{"a": 3}', request="random:5%"),
        row("search", gap=0.1, settings='{"a": 4}', method="jit"),
        row("report", gap=0.1, settings='{"a": 5}'),
    ]
    assert settings.chosen(rows, "vit", "class", "delete") == {"a": 2}
    assert settings.chosen(rows, "vit", "subclass", "delete") is None


def test_deviations_are_over_training_seeds(script):
    report = script("benchmark_report")
    rows = [row(seed=0, gap=1.0), row(seed=0, gap=3.0, request="class:Bag"), row(seed=1, gap=4.0)]
    assert report.gap_over_seeds(rows) == (3.0, pytest.approx(2**0.5), 2)
    assert report.cell(rows) == "3.00 ± 1.41"
    assert report.cell([*rows, row(seed=1, gap=4.0, stopped="refused: it collapsed")]).endswith("1 of 4 refused")
    assert report.cell([]) == "–"


def test_methods_with_and_without_retain_data_are_apart(script, tmp_path):
    report = script("benchmark_report")
    rows = [row(method=name) for name in ("ssd", "delete", "do nothing", "retrained again")]
    lines = report.table(rows).splitlines()
    first = [line.split("|")[1].strip() for line in lines[2:]]
    assert first == [
        *("*references*", "retrained again", "do nothing", "*forget set alone*", "delete"),
        *("*with the retain set*", "ssd"),
    ]
    assert len({line.count("|") for line in lines}) == 1
    report.draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    text = f"before\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nafter\n"
    assert "old" not in report.rendered(text, rows) and report.rendered("no marks", rows) == "no marks"


def test_the_readme_names_every_method():
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Other methods")[1].split("\n## ")[0]
    found = re.findall(r"^\| `(\w+)`[^|]*\| `(\w+)`[^|]*\| (yes|no) \| (?:\[([\d.]+)\]|–)", table, re.MULTILINE)
    expected = []
    for name, method in METHODS.items():
        trainer = getattr(importlib.import_module("hf_unlearn"), method.trainer)
        expected.append((name, method.trainer, "no" if method.retain_free else "yes", trainer._paper["id"]))
    assert found == expected
