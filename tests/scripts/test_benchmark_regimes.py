"""The benchmark by regime runs from data to rows, searches on nothing that it reports, and goes on where it stopped."""

from __future__ import annotations

import csv
import types

import numpy as np
import pytest

from tests.scripts.test_regimes import (  # noqa: F401
    flags_of,
    folders,
    of_other_models,
    scripts,
    without_processes,
    write_rows,
)


@pytest.fixture
def bench(scripts, monkeypatch):  # noqa: F811
    import benchmark_regimes

    return without_processes(monkeypatch, benchmark_regimes)


def read(tmp_path):
    with (tmp_path / "rows.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_tiny_setting_from_search_to_report(bench, folders, tmp_path, capsys, monkeypatch):  # noqa: F811
    chosen = ["memorised/fashion-mnist:3000/resnet/class:Pullover"]
    flags = [*flags_of(folders, tmp_path), "--tiny", "--settings", *chosen, "--trials", "2"]
    flags += ["--methods", "delete", "mask_logit", "esc"]
    left = []
    without = bench.without_images
    monkeypatch.setattr(bench, "without_images", lambda *given: left.append(len(given[1])) or without(*given))
    assert bench.main([*flags, "--seeds", "0"]) == 0, capsys.readouterr().err
    assert left and all(left), "what is given to others is held against the forget samples"
    alone = read(tmp_path)
    again = next(row for row in alone if row["method"] == "retrained again")
    assert float(again["js_divergence"]) > 0, "another retrained model, though one seed is reported"
    flags += ["--seeds", "0", "1"]
    assert bench.main(flags) == 0, capsys.readouterr().err
    rows = read(tmp_path)
    assert rows[: len(alone)] == alone
    search, report = ([row for row in rows if row["phase"] == phase] for phase in ("search", "report"))
    assert {row["request"] for row in search} == {"class:Bag"} and {row["seed"] for row in search} == {"10"}
    assert {row["request"] for row in report} == {"class:Pullover"} and {row["seed"] for row in report} == {"0", "1"}
    named = [row["method"] for row in search]
    # As many trials each, but where there is nothing to choose.
    assert (named.count("delete"), named.count("esc"), named.count("mask_logit")) == (2, 2, 1)
    assert {row["method"] for row in report} == {
        *("do nothing", "retrained", "retrained again", "delete", "mask_logit", "esc")
    }
    for row in report:
        assert row["forget_cosine"] and row["checked_gap"], "depth and the gap with the check on stand beside the gap"
        assert (float(row["forward_passes"]) > 0) == (row["method"] in ("delete", "esc"))
    masked = [row for row in report if row["method"] == "mask_logit"]
    assert all(float(row["forget_accuracy"]) == 0 for row in masked)
    size = len(rows)
    assert bench.main(flags) == 0 and len(read(tmp_path)) == size, "started again it has nothing left to do"
    flags += ["--methods", "delete", "ssd"]
    write_rows(tmp_path / "rows.csv", of_other_models(rows))
    before = (tmp_path / "rows.csv").read_bytes()
    capsys.readouterr()
    assert bench.main(flags) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    # Of the search, and of two seeds.
    assert len(lines) == 3 and all("of other models (doing nothing: average_gap" in line for line in lines)
    assert (tmp_path / "rows.csv").read_bytes() == before, "no row stands beside those of other models"
    write_rows(tmp_path / "rows.csv", rows)
    assert bench.main(flags) == 0 and len(read(tmp_path)) > size


def test_the_same_work_in_two_shards(bench):
    tasks = list(range(7))
    parts = [bench.shard(types.SimpleNamespace(shard=f"{number}/2"), tasks) for number in (1, 2)]
    assert sorted(parts[0] + parts[1]) == tasks and not set(parts[0]) & set(parts[1])


def test_nothing_searched_is_reported(bench):
    from benchmark_regimes_settings import SEARCHED, SETTINGS, searched_on

    assert len({each.full_name for each in SETTINGS}) == len(SETTINGS)
    for setting in SETTINGS:
        reported = next(request for request in setting.case.requests if request.name == setting.name)
        searched = SEARCHED[searched_on(setting).name]
        assert searched.name != reported.name and searched.name.split(":")[0] == reported.name.split(":")[0]
        assert not set(reported.request.classes) & set(searched.request.classes)
        assert searched.request != reported.request


def test_a_search_serves_all_settings_of_its_architecture_and_kind(bench):
    from benchmark_regimes_settings import SETTINGS, searched_on

    served = {}
    for setting in SETTINGS:
        served.setdefault((setting.case.recipe.architecture, setting.kind), set()).add(searched_on(setting))
    assert all(len(found) == 1 for found in served.values())
    for (architecture, kind), (found,) in served.items():
        assert (found.case.recipe.architecture, found.kind) == (architecture, kind)


def test_what_a_search_found_is_run_on_another_dataset(bench, tmp_path):
    from benchmark_regimes_settings import SETTINGS, searched_on

    (setting,) = (each for each in SETTINGS if each.full_name == "memorised/characters:30/resnet/class:R")
    on = searched_on(setting).case.recipe
    assert on.dataset != setting.case.recipe.dataset
    names = [*bench.KEY, "average_gap"]
    found = {"phase": "search", "model": "resnet", "dataset": on.dataset, "request": "class:Bag", "method": "delete"}
    rows = [{**found, "settings": given, "average_gap": gap} for given, gap in (("{}", 3), ('{"learning_rate": 1}', 2))]
    rows.append({**found, "request": "random:5%", "settings": '{"learning_rate": 2}', "average_gap": 1})
    with (tmp_path / "rows.csv").open("w") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    flags = types.SimpleNamespace(csv=tmp_path / "rows.csv", seeds=[0], methods=["delete", "esc"], trials=2)
    tasks = dict(bench.tasks_of(flags, setting, "report", 0))
    assert tasks["delete"] == {"learning_rate": 1}, "the best one of its kind of request"
    assert tasks["esc"] == {}, "what was not searched has its defaults"


def test_mu_mis_runs_with_its_defaults_and_with_references_too(bench, tmp_path):
    from benchmark_regimes_settings import SETTINGS

    names = ("memorised/fashion-mnist:3000/resnet/class:Pullover", "memorised/fashion-mnist:3000/resnet/random:5%")
    whole, stays = (next(each for each in SETTINGS if each.full_name == name) for name in names)
    found = {"phase": "search", "model": "resnet", "method": "mu_mis"}
    searched = [
        {**found, "request": request, "settings": given, "average_gap": gap}
        for request in ("class:Bag", "random:other")
        for given, gap in (("{}", 3), ('{"max_steps": 9}', 2))
    ]
    flags = types.SimpleNamespace(csv=tmp_path / "rows.csv", seeds=[0], methods=["mu_mis", "esc"], trials=2)

    def tasks(rows, setting):
        with flags.csv.open("w") as file:
            writer = csv.DictWriter(file, [*bench.KEY, "average_gap"])
            writer.writeheader()
            writer.writerows(rows)
        return [each for each in bench.tasks_of(flags, setting, "report", 0) if each[0].startswith("mu_mis")]

    both = [("mu_mis", {"max_steps": 9}), ("mu_mis", {})]
    assert tasks(searched, whole) == both
    assert tasks(searched, stays) == [*both, (bench.WITH_REFERENCES, {})], "where labels stay it learns from them"
    assert tasks([{**searched[0], "average_gap": 1}, *searched[1:]], whole) == [("mu_mis", {})], "once, if they are one"
    case = whole.case
    ran = {"phase": "report", "regime": case.regime, "dataset": case.recipe.dataset, "seed": 0, "request": whole.name}
    ran |= {"model": case.recipe.architecture, "method": "mu_mis", "settings": "{}"}
    assert tasks([*searched, ran], whole) == both[:1], "what the file has is not run again"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--shard", "3/2"], "shard is '3/2'"),
        (["--shard", "half"], "shard is 'half'"),
        (["--settings", "x"], "no setting"),
    ],
)
def test_bad_input_is_one_line(bench, tmp_path, capsys, words, named):
    assert bench.main(["--csv", str(tmp_path / "rows.csv"), *words]) == 2
    said = capsys.readouterr().err.strip()
    assert named in said and len(said.splitlines()) == 1 and not (tmp_path / "rows.csv").exists()


def test_a_setting_is_searched_and_reported_in_the_same_shard(bench, monkeypatch, tmp_path):
    wanted = "class:"
    ran = {}
    for shard in ("1/2", "2/2"):
        tasks = ran[shard] = []
        monkeypatch.setattr(
            bench, "run_setting", lambda flags, setting, phase, seed, lock, to=tasks: to.append((phase, setting, seed))
        )
        csv_file = str(tmp_path / "rows.csv")
        words = ["--csv", csv_file, "--settings", wanted, "--trials", "2", "--seeds", "0", "1", "--shard", shard]
        assert bench.main(words) == 0
        searched, reported = (
            {(task[1].case.recipe.architecture, task[1].kind) for task in tasks if task[0] == phase}
            for phase in ("search", "report")
        )
        assert searched == reported and searched
        searches = [task for task in tasks if task[0] == "search"]
        assert len(searches) == len(searched), "what several settings share is searched once"
    reports = {shard: {task[1:] for task in tasks if task[0] == "report"} for shard, tasks in ran.items()}
    assert not reports["1/2"] & reports["2/2"]
    names = {setting.full_name for part in reports.values() for setting, _ in part}
    assert len(names) % 2, "with an even number the seeds fall into step, and the test would see nothing"


def test_the_other_retrained_model_is_no_reference_for_itself(bench, monkeypatch):
    taken = []

    class Subject:
        other, seed, original, retrained, phase = 1, 0, "original", {0: "zero", 1: "one"}, "report"
        request = types.SimpleNamespace(name="class:a")

        def __init__(self, *given):
            pass

        def figures(self, model, reference=None):
            taken.append((model, reference))

    monkeypatch.setattr(bench, "Subject", Subject)
    monkeypatch.setattr(
        bench, "tasks_of", lambda *given: [(name, {}) for name in (bench.DO_NOTHING, bench.RETRAINED, bench.AGAIN)]
    )
    monkeypatch.setattr(bench, "row_of", lambda *given: {})
    monkeypatch.setattr(bench, "append_row", lambda *given: None)
    monkeypatch.setattr(bench, "other_models", lambda *given: "")
    setting = types.SimpleNamespace(case=types.SimpleNamespace(name="case"))
    assert bench.run_setting(types.SimpleNamespace(csv=None), setting, "report", 0, None) == ""
    assert taken == [("original", None), ("zero", None), ("one", 0)]


def test_a_seeds_rows_do_not_depend_on_which_seeds_are_reported(bench, tmp_path):
    from benchmark_regimes_settings import SETTINGS

    flags = types.SimpleNamespace(csv=tmp_path / "none.csv", seeds=[0], methods=[])
    names = [name for name, _ in bench.tasks_of(flags, SETTINGS[0], "report", 0)]
    assert names == [bench.DO_NOTHING, bench.RETRAINED, bench.AGAIN]
    assert [bench.other_seed(seed) for seed in (0, 1, 2)] == [1, 0, 0]


def test_samples_that_look_like_a_forget_sample_are_not_given(bench):
    from datasets import Dataset, Features, Image, Value

    features = Features({"image": Image(), "place": Value("int64")})

    def data(*greys):
        rows = [{"image": np.full((4, 4), grey, np.uint8), "place": place} for place, grey in enumerate(greys)]
        return Dataset.from_list(rows, features=features)

    assert bench.without_images(data(1, 2, 3, 1), data(1, 7), "image")["place"] == [1, 2]
    assert bench.without_images(data(1, 2), data(7), "image")["place"] == [0, 1]


def test_a_reference_of_ones_own_reaches_the_attack(bench):
    measured = types.SimpleNamespace(logits=str, row=lambda *given: {"given": given})
    subject = types.SimpleNamespace(measured=measured, answers={0: "a", 1: "b"}, seed=0, other=1, phase="search")
    assert bench.Subject.figures(subject, "m")["given"] == ("m", "a", "b")
    assert bench.Subject.figures(subject, "m", reference=0)["given"] == ("m", "a", "a")


def test_a_run_that_is_not_finite_has_no_figures(bench, monkeypatch):
    import benchmark_methods
    import torch

    from hf_unlearn.errors import UnlearningError

    broken = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(broken.weight, float("nan"))
    run = {"thrown_away": None, "stopped": ""}
    monkeypatch.setattr(benchmark_methods, "run_method", lambda *given: run)
    subject = types.SimpleNamespace(
        **{"fresh": lambda: broken, "unseen": None, "measured": None, "retain": None, "seed": 0, "_attacked": {}},
        original="m",
        figures=lambda model: model,
    )
    with pytest.raises(UnlearningError, match="not finite"):
        bench.Subject.run(subject, "delete", {})
    torch.nn.init.constant_(broken.weight, 1.0)
    assert bench.Subject.run(subject, "delete", {}) == (broken, run)
    run["stopped"] = "refused: reference sample 5 is forget sample 1"
    with pytest.raises(UnlearningError, match="the run made nothing: refused: reference sample 5"):
        bench.Subject.run(subject, "delete", {})


def test_who_gets_samples_that_were_never_seen(bench, monkeypatch):
    import benchmark_methods
    import torch

    got = {}
    monkeypatch.setattr(
        benchmark_methods,
        "run_method",
        lambda *given: got.update({given[0]: given[6]}) or {"thrown_away": None, "stopped": ""},
    )
    subject = types.SimpleNamespace(
        **{"fresh": lambda: torch.nn.Linear(1, 1), "measured": None, "retain": None, "seed": 0, "_attacked": {}},
        unseen="unseen",
        figures=lambda model: {},
    )
    for method in ("scar", "delete", "mu_mis"):
        bench.Subject.run(subject, method, {})
    assert got == {"scar": "unseen", "delete": None, "mu_mis": None}
    bench.Subject.run(subject, bench.WITH_REFERENCES, {})
    assert got["mu_mis"] == "unseen"


def test_a_sub_class_has_no_depth(bench):
    measured = types.SimpleNamespace(logits=str, row=lambda *given: {})

    def depth(kind):
        subject = types.SimpleNamespace(
            **{"measured": measured, "answers": {0: "a", 1: "b"}, "seed": 0, "other": 1, "phase": "report"},
            setting=types.SimpleNamespace(kind=kind),
            _fixed_figures=dict,
            _probes=lambda *given: {},
            _depth=lambda *given: 50.0,
        )
        return bench.Subject.figures(subject, "m")["depth"]

    assert depth("subclass") is None and depth("random") == depth("class") == 50.0
