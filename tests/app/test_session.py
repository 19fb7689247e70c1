"""A tab's way from the boxes to an unlearned model, without a browser."""

from __future__ import annotations

import dataclasses
import os
import threading
import types
import zipfile

import pytest
from safetensors.torch import load_file

from hf_unlearn.app import shown
from hf_unlearn.app import work as works
from hf_unlearn.app.form import PHOTOGRAPHS
from hf_unlearn.app.outcome import answers_to, packed
from hf_unlearn.app.session import UNFINISHED, Session
from hf_unlearn.app.watching import Progress
from hf_unlearn.commands import unlearn
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import LEVELS
from hf_unlearn.files import FORGET_SET_NAME, RECORD_NAME, REPORT_NAME
from tests.app.conftest import STEPS
from tests.tiny import make_processor, make_reference


def done(work):
    assert work.wait(120)
    assert work.error is None, work.error
    return work


def left(options):
    """What lies in the output folder: models, and whether there is work that was not finished."""
    found = sorted(os.listdir(options.output_dir))
    return [name for name in found if name != UNFINISHED], UNFINISHED in found


def retrained_in(options, **settings):
    """The folder of a model that never knew a class."""
    folder = os.path.join(options.output_dir, "retrained")
    make_reference(**settings).save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


def test_what_was_written_after_the_check_is_not_forgotten_unseen(session, form):
    done(session.plan(form))
    with pytest.raises(UnlearningError, match="boxes were changed since they were checked"):
        session.forget(dataclasses.replace(form, model=f"{form.model}-other"))
    assert session.is_planned, "the boxes may be set back"
    assert done(session.forget(dataclasses.replace(form))).result is session.outcome


def test_from_the_boxes_to_a_model(session, form, options, picture):
    plan = done(session.plan(form)).result
    said = dict(plan.lines[::-1])
    assert said["To forget"].startswith("12 samples: the class 'red'")
    assert said["Beside them"] == "36 training samples stay, 24 for testing"
    assert any("premise" in line for what, line in plan.lines if what == "What is known")
    assert f"{STEPS} steps of 12 samples" in said["Cost"]
    assert any(line.startswith("judging at the level 'fast': at most about") for _, line in plan.lines)
    assert left(options) == ([], True) and session.is_planned

    outcome = done(session.forget()).result
    assert outcome is session.outcome and not session.is_planned
    assert left(options) == ([os.path.basename(outcome.folder)], False)
    assert {"model.safetensors", RECORD_NAME, REPORT_NAME, "README.md"} <= set(os.listdir(outcome.folder))
    assert outcome.why_not_judged is None
    assert set(outcome.comparison["models"]) >= {"original", "unlearned"}

    answers = answers_to(picture, outcome, 1)
    assert list(answers) == ["before", "after"]
    for said_by in answers.values():
        assert {name for name, _ in said_by} == {"red", "green", "blue", "grey"}
        assert sum(share for _, share in said_by) == pytest.approx(100, abs=1e-3)

    with zipfile.ZipFile(packed(outcome.folder, session.folder)) as archive:
        names = {os.path.basename(name) for name in archive.namelist()}
    assert {"model.safetensors", RECORD_NAME, "README.md"} <= names
    assert not names & {REPORT_NAME, FORGET_SET_NAME, "results.json"}


def test_it_is_the_run_of_the_command(session, form, options, tmp_path):
    """Being watched changes no weight."""
    done(session.plan(form))
    outcome = done(session.forget()).result
    words = [
        f"--max_steps={STEPS}",
        f"--model_name_or_path={options.model}",
        f"--dataset_name={options.dataset}",
        "--forget_classes=red",
    ]
    unlearn.main([*words, f"--output_dir={tmp_path / 'by-command'}"])
    ours, theirs = (
        load_file(os.path.join(each, "model.safetensors")) for each in (outcome.folder, tmp_path / "by-command")
    )
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)


def test_a_run_says_how_far_it_is_and_nothing_is_left_once_it_is_cancelled(session, form, options, held):
    stands, goes_on = held
    done(session.plan(form))
    work = session.forget()
    assert stands.wait(60)
    now = work.shown
    assert isinstance(now, Progress)
    assert (now.step, now.steps, now.stage) == (3, STEPS, "Forgetting")
    assert 0 <= now.confidence <= 100 and now.seconds_left > 0
    with pytest.raises(UnlearningError, match="something is going on in this tab"):
        session.plan(form)
    assert session.cancel()
    goes_on.set()
    assert work.wait(60)
    assert work.cancelled and work.error is None and session.outcome is None
    assert left(options) == ([], False)
    assert not session.cancel()
    with pytest.raises(UnlearningError, match="nothing is ready"):
        session.forget()


@pytest.mark.parametrize(
    ("level", "part"), [("fast", "the answers on the test set"), ("standard", "relearns"), ("fast", "Writing")]
)
def test_a_cancel_while_it_is_judged_keeps_nothing(session, form, options, monkeypatch, level, part):
    """The class that the model knows, so that there is something to relearn."""
    said = []

    def cancelled(work, progress):
        said.append(progress.stage)
        if part in progress.stage:
            session.cancel()
        say(work, progress)

    done(session.plan(dataclasses.replace(form, level=level, words="grey")))
    say = works.Work.say
    monkeypatch.setattr(works.Work, "say", cancelled)
    work = session.forget()
    assert work.wait(120)
    assert work.cancelled and work.error is None and session.outcome is None
    assert part in said[-1], "it goes no further"
    assert left(options) == ([], False)


def test_two_tabs_take_turns_and_are_independent(session, form, options, held):
    stands, goes_on = held
    other = Session(options)
    try:
        done(session.plan(form))
        running = session.forget()
        assert stands.wait(60)
        waiting = other.plan(dataclasses.replace(form, words="blue"))
        assert waiting.waits and not other.is_planned
        # One that waits can be cancelled, and the one that runs is none the wiser.
        other.cancel()
        assert waiting.wait(10) and waiting.cancelled and running.is_going_on
        goes_on.set()
        done(running)
        done(other.plan(dataclasses.replace(form, words="blue")))
        done(other.forget())
        assert session.outcome.folder != other.outcome.folder
        assert session.outcome.comparison["fingerprint"] != other.outcome.comparison["fingerprint"]
    finally:
        other.close()
    assert len(left(options)[0]) == 2


def test_closing_a_tab_ends_its_run(session, form, options, held):
    stands, goes_on = held
    done(session.plan(form))
    work = session.forget()
    assert stands.wait(60)
    threading.Timer(0.2, goes_on.set).start()
    session.close()
    assert work.cancelled
    assert left(options) == ([], False)
    assert not os.path.exists(session.folder)


def test_an_error_is_one_line_and_leaves_nothing(session, form, options, monkeypatch, capsys):
    for boxes, said in (
        ({"model": "no/such-model"}, "no/such-model"),
        ({"model": "/etc"}, "may not|may read"),
        ({"words": "rde"}, "did you mean 'red'"),
        ({"level": "thorough"}, "thorough"),
        ({"method": "nosuch"}, "nosuch"),
        ({"max_steps": "few"}, "few"),
    ):
        work = session.plan(dataclasses.replace(form, **boxes))
        assert work.wait(60)
        assert work.error is not None and "\n" not in work.error
        assert said.split("|")[-1] in work.error
        assert not session.is_planned
    assert left(options) == ([], False)
    assert "Traceback" not in capsys.readouterr().err


def test_what_nobody_foresaw_is_one_line_too(capsys):
    def fails(work):
        raise KeyError("inner")

    work = works.Work(fails).start()
    assert work.wait(10)
    assert work.error == "this should not have happened (KeyError: 'inner')"
    assert "KeyError" in capsys.readouterr().err


def test_a_model_that_cannot_be_judged_is_kept(session, form, monkeypatch):
    import hf_unlearn.evaluation.comparison as comparison

    def fails(*args, **kwargs):
        raise UnlearningError("no judge today")

    monkeypatch.setattr(comparison, "compare", fails)
    done(session.plan(form))
    outcome = done(session.forget()).result
    assert outcome.comparison is None and outcome.why_not_judged == "no judge today"
    assert os.path.isfile(os.path.join(outcome.folder, "model.safetensors"))


def test_a_model_is_kept_whatever_the_judging_fails_of(session, form, monkeypatch):
    import hf_unlearn.evaluation.comparison as comparison

    def fails(*args, **kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(comparison, "compare", fails)
    done(session.plan(form))
    outcome = done(session.forget()).result
    assert outcome.comparison is None and "out of memory" in outcome.why_not_judged
    assert os.path.isfile(os.path.join(outcome.folder, "model.safetensors"))


def test_of_strangers_no_model_is_left_and_of_others_each_one(form, options):
    for is_public, kept in ((True, []), (False, ["resnet-unlearned", "resnet-unlearned-2"])):
        session = Session(dataclasses.replace(options, is_public=is_public))
        for _ in range(2):
            said = shown.plan(done(session.plan(form)).result)
            said += shown.outcome(done(session.forget()).result, is_public)
            # Nor is any told where things lie.
            assert is_public != (os.path.dirname(options.output_dir) in said)
            assert not is_public or not any(os.path.dirname(each) in said for each in options.real_folders)
        assert len(left(options)[0]) == (1 if is_public else 2)
        session.close()
        assert left(options) == (kept, False)


def test_a_tab_that_was_closed_begins_nothing(session, form):
    session.close()
    with pytest.raises(UnlearningError, match="this tab was closed"):
        session.plan(form)
    assert not os.path.exists(session.folder)


@pytest.mark.slow
@pytest.mark.parametrize("has_retrained", [False, True])
def test_the_deep_level_ends_in_a_picture_of_it(session, form, options, has_retrained):
    """Of what is found inside; with a retrained model, of how deep it goes. The plan says what that costs."""
    boxes = {"level": "deep", "words": "grey", "references": ""}
    if has_retrained:
        boxes["references"] = retrained_in(options, without=3)
    plan = done(session.plan(dataclasses.replace(form, **boxes))).result
    assert any(line.startswith("judging at the level 'deep': at most about") for _, line in plan.lines)
    assert any("how deep it goes" in line or "found inside" in line for _, line in plan.lines)
    outcome = done(session.forget()).result
    assert outcome.why_not_judged is None
    curves = outcome.comparison["curves"]
    assert bool(curves["depth"]) == has_retrained and bool(curves["inside"]) != has_retrained
    title = "How deep it goes" if has_retrained else "What is still found inside"
    assert f"<figcaption>{title}</figcaption><svg" in shown.outcome(outcome)


def test_the_judging_costs_what_it_looks_at(monkeypatch):
    """By hand, of a model that takes a second a sample, and never less at a higher level or of more models."""
    from hf_unlearn.app import plan as plans

    parts = {"forget": range(10), "retain": range(20_000), "test": range(30)}
    splits = types.SimpleNamespace(**parts, removes_whole_classes=True)
    assert plans.judging_seconds(1.0, splits, "fast", 2) == 2 * (10 + 10_000 + 30)
    costs = [plans.judging_seconds(1.0, splits, level, 2) for level in LEVELS]
    assert costs == sorted(set(costs))
    # Relearning: one model, 100 steps of 32 samples forward and back, and 10 looked at after each.
    assert costs[1] - costs[0] == 10 + 2 * 10 * 19 + 100 * (3 * 32 + 10)
    assert plans.judging_seconds(1.0, splits, "deep", 3) > costs[2]
    splits.removes_whole_classes = False
    assert costs[1] < plans.judging_seconds(1.0, splits, "deep", 2) < costs[2]
    alone = types.SimpleNamespace(forget=range(10), retain=None, test=None, removes_whole_classes=True)
    assert plans.judging_seconds(0.5, alone, "fast", 2) == 10


def test_photographs_are_forgotten(session, form, tmp_path):
    from tests.tiny import make_dataset

    paths = []
    for number, row in enumerate(make_dataset(24)):
        if row["label"] == 0:
            paths.append(str(tmp_path / f"{number}.png"))
            row["image"].save(paths[-1])
    boxes = {"source": PHOTOGRAPHS, "photographs": paths, "dataset": "", "forget_label": "red"}
    plan = done(session.plan(dataclasses.replace(form, **boxes))).result
    said = dict(plan.lines)
    assert said["To forget"].startswith("6 samples")
    assert said["Beside them"] == "no others are known, there is no test set"
    outcome = done(session.forget()).result
    assert list(outcome.comparison["counts"]) == ["forget"]


def test_a_retrained_model_is_held_beside_it(session, form, options, tmp_path):
    folder = retrained_in(options)
    plan = done(session.plan(dataclasses.replace(form, references=f"{folder}\n"))).result
    assert any("beside the original and 1 retrained" in line for _, line in plan.lines)
    outcome = done(session.forget()).result
    assert outcome.comparison["models"]["unlearned"]["average_gap"] is not None
    # A name that is none is found before any work.
    work = session.plan(dataclasses.replace(form, references=f"{folder}\n{options.output_dir}/none"))
    assert work.wait(60) and "none" in work.error and not session.is_planned
