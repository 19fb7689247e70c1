"""`hf-unlearn requests run` of later requests: from the first model with all so far, or on from the newest."""

from __future__ import annotations

import json
import shutil

import pytest

from hf_unlearn.commands.certificate import ledger_entry
from hf_unlearn.commands.main import main
from hf_unlearn.errors import DivergenceError, UnlearningError
from hf_unlearn.publishing.record import read_record, set_disclosure
from hf_unlearn.publishing.secrecy import published
from tests.ledger.acting import BLUE, GREEN, P1, P2, RED, Killed, run, states


def test_all_requests_so_far_are_unlearned_from_the_first_model(add, folder, queue, stand_in, capsys):
    for words in (RED, BLUE, P1, P2):
        add(*words)
        assert run(folder) == 0
    models = [str(folder / "models" / name) for name in ("0001", "0002", "0003", "0004")]
    first = stand_in.calls[0]["model_name_or_path"]
    begun = [(call["model_name_or_path"], call["output_dir"]) for call in stand_in.calls]
    # What is there already (both classes, from the first model) is not made again for a person.
    origins = (first, first, [models[1]], [models[1]])
    assert begun == [(origin, [model]) for origin, model in zip(origins, models, strict=True)]
    assert [call.get("forget_classes") for call in stand_in.calls] == [["red"], ["red", "blue"], None, None]
    assert len(stand_in.calls[3]["forget_indices"]) == 16
    assert [each.stages for each in queue.read().runs] == [[[1]], [[1, 2]], [[1, 2], [3]], [[1, 2], [3, 4]]]
    said = capsys.readouterr().out
    assert "Run 2: request 2 (the class 'blue'), from the first model, and with it again: 1" in said
    assert f"Run 3: request 3 (the samples with given values of 'person'), on from {models[1]}\n" in said
    assert "request 1 (the class 'red'): forget accuracy 0.0 % -> 0.0 %" in said
    records = [read_record(model) for model in models]
    assert [each.get("begins_with") for each in records] == [None, "first", "newest", "first"]
    assert [len(each["earlier"]) for each in records] == [0, 0, 1, 1]
    digests = [each["weights_sha256"]["unlearned"] for each in records]
    assert records[3]["takes_place_of"] == digests[:3] and "takes_place_of" not in published(records[3])
    # A class that comes later is unlearned before the persons, and these anew.
    add(*GREEN)
    assert run(folder) == 0 and [each["output_dir"] for each in stand_in.calls[4:]] == [
        [str(folder / "models" / name)] for name in ("0005-1", "0005")
    ]
    assert stand_in.calls[4]["forget_classes"] == ["red", "blue", "green"] and len(queue.read().runs) == 5
    assert stand_in.calls[4]["model_name_or_path"] == first and states(queue) == ["done"] * 5


def test_it_goes_on_from_the_newest_model_where_the_first_or_its_data_is_gone(
    add, folder, queue, stand_in, saved_model, saved_dataset, tmp_path, capsys
):
    own = shutil.copytree(saved_model(), tmp_path / "own")
    moved = shutil.copytree(saved_dataset, tmp_path / "moved")
    add(*RED, model=own, dataset=moved)
    run(folder)
    shutil.move(moved, tmp_path / "away")
    add(*BLUE)
    assert run(folder) == 0 and "the class 'blue'" in (said := capsys.readouterr().out)
    # Of other data, so they make two stages, of which one is there.
    assert "request 1 (the class 'red') was not looked at: the data of request 1 cannot be had any more" in said
    add(*GREEN)
    shutil.rmtree(own)
    shutil.move(tmp_path / "away", moved)
    assert run(folder) == 0 and states(queue) == ["done"] * 3
    calls = [(call["model_name_or_path"], call["forget_classes"]) for call in stand_in.calls[1:]]
    assert calls == [([str(folder / "models" / "0001")], [*each]) for each in (["blue"], ["blue", "green"])]


def test_where_the_first_model_is_gone_it_says_so(add, folder, queue, stand_in, saved_model, tmp_path, capsys):
    own = shutil.copytree(saved_model(), tmp_path / "own")
    add(*RED, model=own)
    run(folder)
    shutil.rmtree(own)
    add(*BLUE)
    assert run(folder) == 0 and states(queue) == ["done", "done"]
    said = capsys.readouterr().out
    assert f"on from {folder / 'models' / '0001'}, since" in said and str(own) in said.split("since")[1]
    assert read_record(str(folder / "models" / "0002"))["begins_with"] == "newest"


def test_what_fails_from_the_first_model_is_tried_from_the_newest(add, folder, queue, stand_in, capsys):
    add(*RED)
    run(folder)
    add(*BLUE)
    stand_in.refuse = DivergenceError("it ran away")
    assert run(folder) == 0 and states(queue) == ["done", "done"]
    assert "not met: it ran away; once more, from the model as it stands" in capsys.readouterr().out
    assert [each.stages for each in queue.read().runs] == [[[1]], [[1, 2]], [[1], [2]]]
    assert queue.request(2).failures == ["it ran away"] and queue.newest()[0].endswith("0003")


def test_what_one_request_did_not_allow_stays_at_home_when_it_is_met_anew(add, folder, stand_in):
    for words in (RED, BLUE, P1):
        add(*words)
        run(folder)
        if words is RED:
            set_disclosure(str(folder / "models" / "0001"), names=False)
    add(*GREEN)
    run(folder)
    for name in ("0002", "0003", "0004-1", "0004"):
        record = read_record(str(folder / "models" / name))
        # The run of the person goes on from the one before: its own request allows more, the one before does not.
        assert record["disclosure"]["names"] == (name == "0003")
        text = (folder / "models" / name / "unlearning.json").read_text()
        assert '"red"' not in text and "'red'" not in text + (folder / "models" / name / "README.md").read_text()


def test_a_run_of_two_stages_that_was_killed_between_them_is_finished(add, folder, queue, stand_in):
    add(*P1)
    run(folder)
    add(*RED)
    stand_in.kill = "after"
    with pytest.raises(Killed):
        run(folder)
    assert run(folder) == 0 and states(queue) == ["done", "done"]
    made = [call["output_dir"][0][-6:] for call in stand_in.calls]
    assert made == ["s/0001", "0002-1", "s/0002"]


def test_a_class_that_is_still_there_is_not_hidden_by_those_it_was_unlearned_with(
    add, folder, queue, stand_in, monkeypatch, capsys
):
    add(*RED)
    run(folder)
    add(*BLUE)
    checks = {"of it": {"before": 0.0, "after": 30.0}}
    monkeypatch.setattr("hf_unlearn.publishing.quick_checks.quick_checks", lambda *given: checks)
    assert run(folder) == 2 and states(queue) == ["done", "open"]
    said = capsys.readouterr().err
    assert "request 1 (the class 'red') came back: its forget accuracy was 0.0 % and is 30.0 %" in said
    monkeypatch.undo()
    assert [len(each.failures) for each in queue.requests] == [0, 2]


def test_evaluate_takes_data_and_request_from_the_ledger_and_shows_each(add, folder, stand_in, capsys):
    for words in (P1, P2):
        add(*words)
        run(folder)
    newest = str(folder / "models" / "0002")
    assert main(["evaluate", "--model", newest, "--use_cpu", "--level", "fast"]) == 0
    said = capsys.readouterr().out
    for number in (1, 2):
        assert f"Request {number}, the samples with given values of 'person': forget accuracy" in said
    together = json.loads((folder / "models" / "0002" / "results.json").read_text())["together"]
    assert [each["counts"]["forget"] for each in together] == [8, 8]
    assert "together" not in read_record(newest)["evaluation"]


def test_evaluate_judges_a_stage_on_the_way_on_each_request_that_it_met(add, folder, queue, stand_in, capsys):
    add(*P1), add(*RED)
    run(folder)
    add(*BLUE)
    run(folder)
    assert queue.read().runs[-1].stages == [[2, 3], [1]]
    stage = folder / "models" / "0003-1"
    capsys.readouterr()
    assert main(["evaluate", "--model", str(stage), "--use_cpu", "--level", "fast"]) == 0
    said = capsys.readouterr().out
    assert "Request 2, the class 'red': forget accuracy" in said and "Request 3, the class 'blue'" in said
    assert "Request 1" not in said and "No figures of each request" not in said
    results = json.loads((stage / "results.json").read_text())
    assert results["counts"]["forget"] == 24 and [each["number"] for each in results["together"]] == [2, 3]
    # It is not what the run came to, and is not certified as that.
    with pytest.raises(UnlearningError, match="does not say that the run of"):
        ledger_entry(str(stage))


def test_evaluate_says_why_a_copy_has_no_figures_of_each_request(add, folder, stand_in, saved_dataset, capsys):
    add(*RED)
    run(folder)
    copy = str(shutil.copytree(folder / "models" / "0001", folder / "models" / "copy"))
    words = ["evaluate", "--model", copy, "--use_cpu", "--level", "fast"]
    capsys.readouterr()
    assert main([*words, "--dataset_name", saved_dataset, "--forget_classes", "red"]) == 0
    said = capsys.readouterr().out
    assert "No figures of each request, because the ledger of" in said and copy in said
    assert main(words) == 2 and "does not say that the run of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--test_split", "train"], ["--skip_unreadable"], ["--label_mapping", "id"], ["--test_dataset", "somewhere"]],
)
def test_evaluate_throws_no_flag_away_beside_those_of_the_ledger(add, folder, stand_in, capsys, words):
    add(*RED)
    run(folder)
    model = folder / "models" / "0001"
    capsys.readouterr()
    assert main(["evaluate", "--model", str(model), "--use_cpu", "--level", "fast", *words]) == 2
    said = capsys.readouterr().err
    assert f"{words[0]} is given" in said and "expected --dataset_name and the request, too" in said
    assert not (model / "results.json").exists()


def test_a_ledger_of_before_there_were_stages_is_read(add, folder, queue):
    add(*RED), add(*P1)
    with queue.ledger.locked():
        for number in (1, 2):
            what = {"requests": [number], "settings": [], "fingerprint": "f", "run": number}
            queue.ledger.append("started", what, "test")
            queue.ledger.append("finished", {"run": number, "weights_sha256": "w", "why": ""}, "test")
    runs = queue.read().runs
    assert [(each.stages, each.begins_at) for each in runs] == [([[1]], 0), ([[1], [2]], 1)]


def test_a_run_whose_beginning_is_gone_fails_in_one_line_and_its_request_stays_open(
    add, folder, queue, stand_in, capsys
):
    add(*RED)
    run(folder)
    add(*P1)
    stand_in.kill = "before"
    with pytest.raises(Killed):
        run(folder)
    shutil.rmtree(folder / "models" / "0001")
    capsys.readouterr()
    assert run(folder) == 2
    said = capsys.readouterr().err
    assert "request 2: the model that run 2 began with is gone" in said
    assert states(queue) == ["done", "open"]
    # From the first model it needs no other.
    assert run(folder) == 0 and states(queue) == ["done", "done"]
    assert [each["output_dir"][0][-6:] for each in stand_in.calls[-2:]] == ["0003-1", "s/0003"]


def test_a_beginning_that_there_is_not_is_one_line(add, folder, capsys):
    add(*RED)
    capsys.readouterr()
    assert run(folder, "--begin_with", "second") == 2
    said = capsys.readouterr().err
    assert "'second'" in said and len(said.splitlines()) == 1
