"""`hf-unlearn suggest`: what it takes, and that it says where MU-Mis loses."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from hf_unlearn.commands.advice import FLOOR, NOTHING, advise, held_against, read_results, value_of
from hf_unlearn.commands.main import main
from hf_unlearn.errors import UnlearningError
from hf_unlearn.trainers.registry import METHODS

SCRIPTS = Path(__file__).parents[2] / "scripts"


def rows_of(request="random:5%", regime="memorised", model="resnet", source="study", needs="forget", **gaps):
    """Rows by method; a gap is one for seeds 0 and 1, or a dictionary by seed."""
    setting = {"source": source, "regime": regime, "dataset": "d", "model": model, "request": request}
    made = []
    for name, gap in gaps.items():
        by_seed = gap if isinstance(gap, dict) else {0: gap, 1: gap}
        figures = {"seeds": list(by_seed), "gap": list(by_seed.values())}
        made.append({**setting, "method": name.replace("do_nothing", NOTHING), "needs": needs, **figures})
    return made


def retaining(**gaps):
    return rows_of(needs="retain", **gaps)


def made_by(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("make_suggestions")


def forget_scripts():
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent == SCRIPTS:
            del sys.modules[name]


def test_the_package_file_is_what_the_results_say(monkeypatch):
    script = made_by(monkeypatch)
    try:
        assert script.FILE.read_text(encoding="utf-8") == script.text()
    finally:
        forget_scripts()


def test_the_rows_name_methods_and_have_a_figure():
    rows = read_results()
    assert {row["method"] for row in rows} <= {*METHODS, NOTHING, FLOOR}
    for row in rows:
        assert "gap" in row and row["seeds"] == sorted(set(row["seeds"]))
        for name in ("gap", "depth", "membership", "cost"):
            assert len(row.get(name, row["seeds"])) == len(row["seeds"])
    for row in rows:
        needs_retained = row["method"] in METHODS and not METHODS[row["method"]].retain_free
        assert (row["needs"] == "retain") == needs_retained


def test_a_method_is_taken_only_if_it_leads_by_more_than_the_floor():
    base = rows_of(mu_mis=3.0, delete=2.6, do_nothing=9.0, floor=0.5)
    assert advise(base, "random", "forget", "accuracy").method == "mu_mis"
    clear = rows_of(mu_mis=3.0, delete=2.4, jit=2.0, do_nothing=9.0, floor=0.5)
    advice = advise(clear, "random", "forget", "accuracy")
    assert (advice.method, advice.value, advice.nothing, advice.floor) == ("jit", 2.0, 9.0, 0.5)
    assert [(each.row["method"], each.theirs, each.mine) for each in advice.losses] == [("jit", 2.0, 3.0)]


def test_doing_nothing_can_be_best():
    rows = rows_of(mu_mis=3.0, do_nothing=1.0, floor=0.5)
    advice = advise(rows, "random", "forget", "accuracy")
    assert advice.method == NOTHING and advice.losses[0].row["method"] == NOTHING


def test_data_that_is_not_at_hand_is_not_counted_on_but_told_of():
    rows = [*rows_of(mu_mis=3.0, floor=0.5), *retaining(scrub=1.0)]
    without = advise(rows, "random", "unseen", "accuracy")
    assert without.method == "mu_mis" and not without.losses
    assert [(each.row["method"], each.mine) for each in without.loses_with_more] == [("scrub", 3.0)]
    assert advise(rows, "random", "retain", "accuracy").method == "scrub"


def test_unseen_samples_are_used_where_they_are_at_hand():
    rows = [*rows_of(mu_mis=3.0, floor=0.5), *rows_of(needs="unseen", mu_mis=2.0)]
    assert advise(rows, "random", "forget", "accuracy").value == 3.0
    assert advise(rows, "random", "unseen", "accuracy").value == 2.0


def test_nobody_has_to_use_all_the_data(monkeypatch, capsys):
    # With unseen samples it is better in one setting, and worse in the mean.
    rows = [*rows_of("person:1", mu_mis=1.0, delete=2.0, floor=0.1), *rows_of("person:2", mu_mis=3.0, floor=0.1)]
    rows += [*rows_of("person:1", needs="unseen", mu_mis=4.0), *rows_of("person:2", needs="unseen", mu_mis=2.5)]
    for data in ("forget", "unseen", "retain"):
        advice = advise(rows, "person", data, "accuracy")
        assert (advice.method, advice.value, advice.losses) == ("mu_mis", 2.0, [])
    better = [{**row, "gap": [1.5, 1.5]} if row["gap"] == [4.0, 4.0] else row for row in rows]
    better = [{**row, "gap": [1.0, 1.0]} if row["gap"] == [2.5, 2.5] else row for row in better]
    assert advise(better, "person", "unseen", "accuracy").value == 1.25
    for some, said in ((rows, False), (better, True)):
        monkeypatch.setattr("hf_unlearn.commands.suggest.read_results", lambda some=some: some)
        assert main(["suggest", "--request", "person", "--data", "unseen"]) == 0
        assert ("With samples that were never seen: give --reference_split." in capsys.readouterr().out) == said
    # Where it ran with unseen samples alone, that is what there is.
    assert advise(rows_of(needs="unseen", mu_mis=4.0), "random", "unseen", "accuracy").value == 4.0


def test_what_another_study_measured_with_more_data_counts():
    # One study ran MU-Mis with unseen samples, the other the methods beside it, on the same models.
    rows = [*rows_of(mu_mis={0: 30.0}, delete={0: 2.0}, floor=0.5), *rows_of("random:1%", mu_mis=4.0)]
    rows += rows_of(do_nothing={0: 30.001})
    rows += [*rows_of(source="two", mu_mis={0: 30.0, 1: 40.0}, do_nothing={0: 30.0, 1: 40.0})]
    rows += rows_of(source="two", needs="unseen", mu_mis={0: 1.0, 1: 3.0})
    advice = advise(rows, "random", "unseen", "accuracy")
    assert (advice.method, advice.value, advice.settings, advice.untried) == ("mu_mis", 3.0, 2, 0)
    # It counts once, where it stands, and so does doing nothing beside it.
    assert [row["source"] for row in advice.rows] == ["study", "two"]
    assert (advice.nothing, advice.floor) == (35.0, 0.5) and not advice.losses
    without = advise(rows, "random", "forget", "accuracy")
    assert (without.method, without.value, len(without.losses)) == ("delete", 2.0, 1)
    # Where a study has no row of MU-Mis at all, another's stands against its methods.
    alone = [*rows_of(delete={0: 1.0, 1: 2.0}, do_nothing=9.0, floor=0.5)]
    alone += rows_of(source="two", mu_mis=4.0, do_nothing=9.0)
    assert advise(alone, "random", "forget", "accuracy").method == "delete"


@pytest.mark.parametrize("idle", [{0: 30.01}, {2: 30.0}, {}], ids=["another gap", "another seed", "not measured"])
def test_what_another_study_measured_on_other_models_does_not_count(idle):
    rows = rows_of(mu_mis={0: 30.0}, delete={0: 2.0}, do_nothing={0: 30.0}, floor=0.5)
    rows += rows_of(source="two", needs="unseen", mu_mis={0: 1.0})
    rows += rows_of(source="two", do_nothing=idle) if idle else []
    advice = advise(rows, "random", "unseen", "accuracy")
    assert advice.method == "delete" and [each.mine for each in advice.losses] == [30.0]


def test_methods_are_compared_where_both_ran():
    # The other method ran in the easy setting alone: its mean is lower, and it is no better there.
    rows = [*rows_of(mu_mis=8.0, floor=0.1), *rows_of(model="vit", mu_mis=1.0, delete=1.0, floor=0.1)]
    assert advise(rows, "random", "forget", "accuracy").method == "mu_mis"


def test_methods_are_compared_on_the_seeds_that_both_have():
    # Seed 1 is a hard one, and the other method did not run with it: where both ran it is worse.
    easy, hard = 1.0, 9.0
    rows = rows_of(mu_mis={0: easy, 1: hard}, delete={0: 2.0}, do_nothing={0: 20.0, 1: 30.0}, floor=0.1)
    advice = advise(rows, "random", "forget", "accuracy")
    assert (advice.method, advice.value, advice.nothing, advice.unpaired) == ("mu_mis", 5.0, 25.0, 0)
    assert not advice.losses
    held = held_against(rows[1], rows[0], "accuracy")
    assert (held.theirs, held.mine, held.lead, held.seeds) == (2.0, 1.0, -1.0, (0,))
    # It is better where both ran, though its mean over all seeds is higher.
    rows = rows_of(mu_mis={0: 3.0}, delete={0: 1.0, 1: hard}, do_nothing={0: 4.0, 1: 40.0}, floor=0.1)
    advice = advise(rows, "random", "forget", "accuracy")
    assert advice.method == "delete" and [(each.theirs, each.mine) for each in advice.losses] == [(1.0, 3.0)]
    assert value_of(advice.rows[0], "accuracy") == advice.value == 5.0 and advice.nothing == 22.0


def test_doing_nothing_stands_on_the_seeds_of_the_method():
    rows = rows_of(mu_mis={1: 3.0}, do_nothing={0: 10.0, 1: 4.0}, floor=0.1)
    assert advise(rows, "random", "forget", "accuracy").nothing == 4.0


def test_a_figure_that_nobody_measured_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("hf_unlearn.commands.suggest.read_results", lambda: rows_of(mu_mis=3.0, floor=0.1))
    assert main(["suggest", "--request", "random", "--sure", "depth"]) == 2
    said = capsys.readouterr()
    assert "no result has a figure of depth for requests of kind 'random'" in said.err
    assert len(said.err.strip().splitlines()) == 1 and not said.out


def test_no_seed_in_common_is_said(monkeypatch, capsys):
    rows = rows_of(mu_mis={0: 3.0}, delete={1: 1.0, 2: 2.0}, floor=0.1)
    held = held_against(rows[1], rows[0], "accuracy")
    assert (held.theirs, held.mine, held.seeds) == (1.5, 3.0, ())
    monkeypatch.setattr("hf_unlearn.commands.suggest.read_results", lambda: rows)
    assert main(["suggest", "--request", "random"]) == 0
    shown = capsys.readouterr().out
    assert "In 1 of 1 rows mu_mis ran with other training seeds." in shown
    assert "no seed in common: 2 seeds and 1 seed: delete 1.50, mu_mis 3.00" in shown


def test_what_spoils_the_answers_is_never_taken():
    rows = rows_of(mu_mis=2.0, random_labels=49.0, jit=4.0, do_nothing=3.8, floor=0.5)
    attacked = {"mu_mis": 3.0, "random_labels": 0.5, "jit": 1.0, NOTHING: 16.0, FLOOR: 1.0}
    rows = [{**row, "membership": [attacked[row["method"]]] * 2} for row in rows]
    advice = advise(rows, "random", "forget", "membership")
    # jit lies within the floor of doing nothing.
    assert (advice.method, advice.value) == ("jit", 1.0) and [each.row["method"] for each in advice.losses] == ["jit"]
    # Of the samples that are not concerned it has lost 5 points more than the original: just enough to be taken.
    apart = {"mu_mis": 1.0, "random_labels": 1.0, "jit": 5.5, NOTHING: 0.5, FLOOR: 0.5}
    some = [{**row, "remaining": [apart[row["method"]]] * 2} for row in rows]
    assert advise(some, "random", "forget", "membership").method == "jit"
    some = [{**row, "remaining": [5.6, 5.6]} if row["method"] == "jit" else row for row in some]
    advice = advise(some, "random", "forget", "membership")
    assert advice.method == "mu_mis" and not advice.losses
    rows = [row for row in rows if row["method"] != "jit"]
    advice = advise(rows, "random", "forget", "membership")
    assert advice.method == "mu_mis" and not advice.losses


def test_little_to_go_by_is_said(monkeypatch, capsys):
    def shown(rows):
        monkeypatch.setattr("hf_unlearn.commands.suggest.read_results", lambda: rows)
        assert main(["suggest", "--request", "subclass", "--data", "unseen"]) == 0
        return capsys.readouterr().out

    one, two = (rows_of(f"subclass:{name}", mu_mis=3.0, esc=1.0, floor=0.1) for name in "ab")
    assert "One setting is no more than a hint." in shown(one) and "is wrong where siblings teach it" in shown(one)
    assert "One setting" not in shown([*one, *two]) and "is wrong where siblings teach it" in shown([*one, *two])
    assert "siblings" not in shown(rows_of("subclass:a", mu_mis=1.0, esc=3.0, floor=0.1))


def test_a_figure_that_a_seed_lacks_is_not_counted():
    rows = rows_of(mu_mis={0: 3.0, 1: None}, delete={0: None, 1: 1.0})
    assert held_against(rows[1], rows[0], "accuracy").seeds == () and value_of(rows[0], "accuracy") == 3.0


def test_rows_are_no_seeds_and_the_last_run_of_a_seed_counts(monkeypatch):
    script = made_by(monkeypatch)
    setting = {"regime": "memorised", "dataset": "d", "model": "resnet", "request": "random:5%"}

    def row(method, seed, gap, rmia="", phase="report"):
        figures = {"average_gap": str(gap), "rmia_auc": str(rmia)}
        return {**setting, "phase": phase, "method": method, "seed": str(seed), **figures}

    rows = [
        row("delete", 0, 5.0, 60.0),
        row("delete", 1, 2.0, 70.0),
        row("delete", 0, 1.0, 65.0),
        row("delete", 10, 0.0, phase="search"),
        row("do nothing", 0, 4.0, 67.0),
        {**row("jit", 0, 50.0, 55.5), "stopped": "refused: the rest of the model collapsed", "cost_percent": "7.0"},
        row("retrained", 0, 0.0, 55.0),
    ]
    try:
        line, _, refused = script.lines_of("benchmark_regimes", rows)
    finally:
        forget_scripts()
    # What is left is the original.
    assert (refused["gap"], refused["membership"], refused["cost"]) == ([4.0], [12.0], [7.0])
    assert (line["seeds"], line["gap"], line["membership"]) == ([0, 1], [1.0, 2.0], [10.0, None])


def test_settings_in_which_a_method_did_not_run_are_told_of(monkeypatch, capsys):
    rows = [
        *rows_of(mu_mis=3.0, jit=1.0, floor=0.1),
        *rows_of("random:1%", mu_mis=1.0),
        *rows_of(model="vit", mu_mis=1.0),
    ]
    rows += rows_of(source="another", mu_mis=3.0)
    assert (advice := advise(rows, "random", "forget", "accuracy")).method == "jit" and advice.untried == 2
    monkeypatch.setattr("hf_unlearn.commands.suggest.read_results", lambda: rows)
    assert main(["suggest", "--request", "random"]) == 0
    assert "In 2 more settings like yours mu_mis ran, and jit did not." in capsys.readouterr().out
    assert advise(rows[:1], "random", "forget", "accuracy").untried == 0


def test_controls_are_never_taken():
    rows = rows_of("class:a", mu_mis=1.0, mask_logit=0.0, head_only=0.0, floor=0.1)
    advice = advise(rows, "class", "forget", "accuracy")
    assert advice.method == "mu_mis" and not advice.losses


def test_what_was_never_measured_is_left_out_of_account_and_said():
    rows = [*rows_of(mu_mis=3.0), *rows_of(regime="early", model="vit", mu_mis=1.0)]
    assert advise(rows, "random", "forget", "accuracy", "memorised", "resnet").widened == ""
    advice = advise(rows, "random", "forget", "accuracy", "memorised", "vit")
    assert (advice.value, advice.widened) == (3.0, "a vit"), "the regime is worth more than the kind of model"
    advice = advise(rows, "random", "forget", "accuracy", "augmented", "swin")
    assert advice.widened == "models that are augmented or a swin" and advice.settings == 2
    with pytest.raises(UnlearningError, match="no result has a figure of depth for requests of kind 'random'"):
        advise(rows, "random", "forget", "depth")


def test_a_person_is_no_random_draw():
    rows = [*rows_of("random:5%", mu_mis=3.0), *rows_of("person:7", mu_mis=1.0)]
    person, random = (advise(rows, request, "forget", "accuracy") for request in ("person", "random"))
    assert (person.value, person.widened, random.value, random.widened) == (1.0, "", 3.0, "")
    wide = advise(rows[:1], "person", "forget", "accuracy")
    assert (wide.value, wide.widened) == (3.0, "the samples of a person")
    rows += rows_of("most memorised:5%", regime="early", mu_mis=5.0)
    advice = advise(rows, "person", "forget", "accuracy", "early", "vit")
    assert (advice.value, advice.widened) == (5.0, "the samples of a person or a vit")


def test_a_setting_of_two_studies_counts_once():
    rows = [*rows_of(source="one", mu_mis=3.0), *rows_of(source="two", mu_mis=1.0)]
    advice = advise(rows, "random", "forget", "accuracy")
    assert (advice.settings, len(advice.rows)) == (1, 2)


def test_a_sub_class_without_reference_samples_asks_for_them(capsys):
    shown = {}
    for data in ("forget", "unseen"):
        assert main(["suggest", "--request", "subclass", "--data", data]) == 0
        shown[data] = capsys.readouterr().out
    needs = "A sub-class needs samples that were never seen: give --reference_split"
    assert needs in shown["forget"] and needs not in shown["unseen"]
    assert "With samples that were never seen: give --reference_split." in shown["unseen"]
    # As docs/methods.md has it.
    assert shown["unseen"].startswith("take mu_mis")
    assert "study_references.csv: memorised, characters:30, resnet, subclass:E, 2 seeds: 1.04" in shown["unseen"]
    assert "benchmark_regimes.csv: memorised, characters:30, resnet, subclass:E, 3 seeds: 2.68" in shown["unseen"]


def test_it_says_where_mu_mis_loses(capsys):
    assert main(["suggest", "--request", "random", "--data", "retain", "--regime", "early"]) == 0
    shown = capsys.readouterr().out
    assert "take bad_teacher" in shown and "mu_mis loses with the data at hand" in shown
    assert re.search(r", \d seeds?: \w+ [0-9.]+, mu_mis [0-9.]+ \(", shown), "how many seeds both have is said"
    assert "benchmark_methods.csv: early, fashion-mnist, resnet-basic, random:5%, 3 seeds: bad_teacher 1.51" in shown


def test_a_folder_says_what_kind_of_model_it_is(capsys, saved_model):
    folder = saved_model("vit")
    assert main(["suggest", "--request", "class", "--sure", "depth", "--model_name_or_path", folder]) == 0
    shown = capsys.readouterr().out
    assert "vit, class:Pullover" in shown and "resnet" not in shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [(["--data", "retain"], "take retrain"), ([], "Nothing that starts from the model can be sure by construction")],
)
def test_exact_is_retraining(capsys, words, shown):
    assert main(["suggest", "--request", "class", "--sure", "exact", *words]) == 0
    assert capsys.readouterr().out.startswith(shown)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--request", "clas"], "request 'clas' is not known; did you mean 'class'"),
        (["--request", "class", "--data", "all"], "data 'all' is not known"),
        (["--request", "class", "--sure", "very"], "sure 'very' is not known"),
        (["--request", "class", "--regime", "late"], "regime 'late' is not known"),
        (["--request", "class", "--model_type", ""], "model_type is ''; expected a kind of model"),
        (["--request", "class", "--model_type", "vit", "--model_name_or_path", "x"], "are both given; expected one"),
        (["--request", "class", "--model_name_or_path", "no/such/place/at/all"], "cannot be read"),
        ([], "request"),
    ],
)
def test_bad_input_is_one_line(capsys, words, named):
    assert main(["suggest", *words]) == 2
    said = capsys.readouterr()
    assert named in said.err and len(said.err.strip().splitlines()) == 1 and not said.out
