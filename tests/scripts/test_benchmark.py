"""The benchmark's search is fair and repeatable, and its report says what the CSV says."""

from __future__ import annotations

import copy
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.objectives.adversarial import nearest_adversarial
from hf_unlearn.trainers.registry import METHODS, settings_of
from tests.tiny import make_dataset, make_model, make_processor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


def row(
    phase="report", method="delete", seed=0, gap=1.0, request="class:Trouser", settings="{}", stopped="", refused_gap=""
):
    return {
        **{"phase": phase, "model": "vit", "seed": str(seed), "request": request, "method": method},
        **{"settings": settings, "average_gap": str(gap), "cost_percent": "2.0", "stopped": stopped},
        **{"refused_gap": refused_gap, "seconds": "30"},
    }


def test_every_method_gets_as_many_trials(script):
    settings = script("benchmark_settings")
    for method, space in settings.SPACES.items():
        tried = settings.candidates(method, 6)
        assert len(tried) == 6 and tried[0] == {} and tried == settings.candidates(method, 6)
        assert all(set(one) == set(space) for one in tried[1:])
        for one in tried:
            settings_of(METHODS[method].module, METHODS[method].config)(**one)


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
    lost = row(seed=1, gap=4.0, stopped="refused: it collapsed", refused_gap="7.5")
    assert report.cell([*rows, lost]).endswith("1 of 4 refused at 7.50")
    assert report.cell([{**lost, "refused_gap": ""}]).endswith("1 of 1 refused")
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
    begin, end = report.PART.marks
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert report.PART.rendered(text, "new") == text.replace("old", "new")
    for broken in ("no marks", f"{begin}\nnever closed"):
        with pytest.raises(ValueError, match="no marks of the part 'benchmark'"):
            report.PART.rendered(broken, "new")


def test_a_rival_is_better_by_more_than_the_floor(script):
    report = script("benchmark_report")
    gaps = {"mu_mis": 2.0, "delete": 1.4, "ssd": 1.6, "scrub": 0.2, "do nothing": 9.0, "retrained again": 0.5}
    (line,) = report.verdicts([row(method=name, gap=gap) for name, gap in gaps.items()]).splitlines()
    assert "without retained data: `delete` 1.40; better with it: `scrub` 0.20" in line and "ssd" not in line
    (line,) = report.verdicts([row(method=name, gap=gaps[name]) for name in ("mu_mis", "do nothing")]).splitlines()
    assert "no method is better" in line
    gaps["do nothing"] = 0.1
    assert "doing nothing is better" in report.verdicts([row(method=name, gap=gap) for name, gap in gaps.items()])


def test_the_page_says_what_the_committed_csv_says(script):
    report = script("benchmark_report")
    rows = script("study_defaults").read_rows(report.CSV)
    assert len({found["seed"] for found in rows if found["phase"] == "report"}) >= 3
    assert report.PART.holds(report.body(rows))


def test_the_floor_is_another_of_the_reported_seeds(script):
    next_seed = script("benchmark_methods").next_seed
    assert [next_seed(seed, [0, 1, 2]) for seed in (0, 1, 2)] == [1, 2, 0]


def test_the_page_names_every_method(script):
    table = script("make_stub").methods_table()
    assert script("page_parts").METHODS_PART.holds(table)
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(METHODS)
    assert (
        "| `mu_mis` | `MUMisTrainer` | MU-Mis | no | [2402.15109](https://huggingface.co/papers/2402.15109) |" in table
    )


def test_the_page_names_every_figure(script):
    table = script("make_stub").figures_table()
    assert script("page_parts").FIGURES_PART.holds(table)
    assert {line.count("|") for line in table.splitlines()} == {5}
    assert "| average gap (MU-Mis), points | ↓ | 0 | Over FA, remaining and whole test. |" in table


def test_attacks_on_one_original_are_made_once_and_counted_in_each_run(script, monkeypatch):
    benchmark = script("benchmark_methods")
    data = DatasetDict(train=make_dataset(24))
    splits = make_splits(data, ForgetRequest(fraction=0.25))
    model = make_model("resnet")
    measured = SimpleNamespace(splits=splits, parts={"forget": splits.forget}, processor=make_processor())
    made = []

    def attack(*given):
        made.append(given)
        return nearest_adversarial(*given)

    monkeypatch.setattr("hf_unlearn.trainers.methods.amun_forget.nearest_adversarial", attack)

    def run(method, shared, **settings):
        unlearned = copy.deepcopy(model)
        settings = {"max_steps": 1, "attack_radius": 8.0, "attack_steps": 4, **settings}
        how = benchmark.run_method(method, settings, unlearned, measured, splits.retain, 0, None, shared)
        return how["forward_equivalents"], unlearned.state_dict()

    shared = {}
    for method, learning_rate in (("amun_forget", 1e-3), ("amun_forget", 1e-4), ("amun", 1e-3)):
        (spent, weights), (alone, same) = (run(method, each, learning_rate=learning_rate) for each in (shared, None))
        assert spent == alone and all(torch.equal(weights[name], same[name]) for name in same)
    assert len(made) == 4, "once for all that share, once for each that runs alone"
    run("amun", shared, attack_steps=3)
    assert len(made) == 5, "another attack finds other examples"
