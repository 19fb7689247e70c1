"""`hf-unlearn requests`: what is queued, what is run together, what a kill leaves, and what is refused."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta

import pytest
from datasets import DatasetDict, load_from_disk

from hf_unlearn import UnlearningTrainer
from hf_unlearn.commands import queue_runs
from hf_unlearn.commands.main import main
from hf_unlearn.errors import DivergenceError
from hf_unlearn.publishing.push import published_files
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.secrecy import published
from tests.ledger.acting import BLUE, GREEN, P1, P2, P3, RED, Killed, run, states
from tests.tiny import make_dataset, make_model, make_processor


def test_requests_that_fit_together_are_run_together_each_run_from_the_last_model(add, folder, queue, stand_in):
    for words in (RED, P1, BLUE, P2, ["--forget_indices", "5", "9"]):
        assert add(*words) == 0
    assert states(queue) == ["open"] * 5
    assert run(folder, "--max_steps", "7", "--private_names") == 0
    assert states(queue.read()) == ["done"] * 5 and [each.requests for each in queue.runs] == [[1, 3], [2, 4, 5]]
    first, second = stand_in.calls
    assert first["forget_classes"] == ["red", "blue"] and first["max_steps"] == ["7"] and first["private_names"] == []
    rows = {row for row, person in enumerate(f"p{row % 6}" for row in range(48)) if person in ("p1", "p2")}
    assert {*map(int, second["forget_indices"])} == rows | {5, 9}
    assert second["model_name_or_path"] == first["output_dir"] == [str(folder / "models" / "0001")]
    # Again there is nothing to do.
    content = queue.ledger.path.read_bytes()
    assert run(folder) == 0 and len(stand_in.calls) == 2 and queue.ledger.path.read_bytes() == content
    assert [len(read_record(str(folder / "models" / name)).get("earlier", [])) for name in ("0001", "0002")] == [0, 1]


def test_a_request_of_its_own_data_is_run_by_itself(add, folder, queue, stand_in, saved_dataset, tmp_path):
    other = shutil.copytree(saved_dataset, tmp_path / "other")
    for words, data in ((P1, saved_dataset), (P2, other), (P3, saved_dataset)):
        assert add(*words, dataset=data) == 0
    assert run(folder) == 0 and [each.requests for each in queue.read().runs] == [[1, 3], [2]]


def test_what_makes_another_kind_of_request_together_is_run_one_by_one(add, folder, queue, stand_in):
    """Half of a class each: together nothing of it is left, and that is unlearned in another way."""
    red = [str(row) for row in range(0, 48, 4)]
    assert add("--forget_indices", *red[:6]) == 0 and add("--forget_indices", *red[6:]) == 0
    assert run(folder) == 0 and [each.requests for each in queue.read().runs] == [[1], [2]]


def test_a_request_that_leaves_no_class_is_refused_when_it_comes_in(add, folder, queue, capsys):
    assert add("--forget_classes", "red", "green") == 0 and add(*BLUE) == 0
    content = queue.ledger.path.read_bytes()
    capsys.readouterr()
    assert add("--forget_classes", "grey") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "every class of the model would be gone: 3 of 4 are to be forgotten or were before" in line
    assert queue.ledger.path.read_bytes() == content
    # Nor is a ledger begun for it.
    other = folder.with_name("another")
    first = queue.read().model["name"]
    words = ["--model_name_or_path", first, "--dataset_name", queue.request(1).flags["dataset_name"]]
    assert main(["requests", "add", str(other), *words, "--forget_count", "47"]) == 2 and not other.exists()


@pytest.mark.parametrize("left", [b"", b'{"number": 1, "kind": "ope'])
def test_a_ledger_whose_first_entry_was_cut_short_is_begun_anew(add, folder, queue, saved_model, capsys, left):
    folder.mkdir()
    queue.ledger.path.write_bytes(left)
    for words in (["list", str(folder)], ["run", str(folder)], ["cancel", str(folder), "1"]):
        assert main(["requests", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "does not say which model it is of: its first entry was cut short" in line
    assert queue.ledger.path.read_bytes() == left
    assert add(*RED) == 0 and states(queue) == ["open"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_was_killed_is_finished_and_nothing_is_done_twice(add, folder, queue, stand_in, moment):
    add(*RED), add(*P1)
    stand_in.kill = moment
    with pytest.raises(Killed):
        run(folder, "--max_steps", "3")
    assert states(queue) == ["running", "open"]
    assert main(["requests", "cancel", str(folder), "1"]) == 2 and states(queue) == ["running", "open"]
    # What comes meanwhile waits for the next run.
    assert add(*BLUE) == 0
    assert run(folder, "--max_steps", "8") == 0 and states(queue) == ["done"] * 3
    assert [each.requests for each in queue.runs] == [[1], [2], [3]]
    of_the_first = [call for call in stand_in.calls if call["output_dir"][0].endswith("0001")]
    assert len(of_the_first) == (2 if moment == "before" else 1)
    assert {call["max_steps"][0] for call in of_the_first} == {"3"}


def test_a_model_that_is_not_whole_is_made_again(add, folder, queue, stand_in):
    add(*RED)
    stand_in.kill = "after"
    with pytest.raises(Killed):
        run(folder)
    weights = folder / "models" / "0001" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40] + bytes(40))
    assert run(folder) == 0 and len(stand_in.calls) == 2 and states(queue) == ["done"]


@pytest.mark.parametrize("why", ["it ran away", None])
def test_a_request_that_is_not_met_stays_open_and_the_others_are_done(add, folder, queue, stand_in, capsys, why):
    add(*RED), add(*P1)
    stand_in.refuse = DivergenceError(why) if why else None
    stand_in.after = 0.0 if why else 60.0
    assert run(folder) == 2
    told = capsys.readouterr()
    said = told.err
    assert "1 request is done. The model as it stands:" in told.out
    assert (why or "forget accuracy 60.0 %") in said and "1 request was not met, and stays open: request 1" in said
    assert states(queue) == ["open", "done"] and len(queue.request(1).failures) == 1
    # The next one begins where the last that was met ended.
    assert stand_in.calls[1]["model_name_or_path"] == stand_in.calls[0]["model_name_or_path"]
    stand_in.after = 0.0
    assert run(folder, "--begin_with", "newest") == 0 and states(queue) == ["done", "done"]
    assert stand_in.calls[2]["model_name_or_path"] == stand_in.calls[1]["output_dir"]


def test_a_request_whose_data_is_gone_or_changed_does_not_keep_the_others(
    add, folder, queue, stand_in, saved_dataset, tmp_path, capsys
):
    moved, changed = (shutil.copytree(saved_dataset, tmp_path / name) for name in ("moved", "changed"))
    add(*P1, dataset=moved), add(*P2, dataset=changed), add(*P3)
    shutil.rmtree(moved)
    data = DatasetDict(load_from_disk(saved_dataset))
    data["train"] = make_dataset(48, seed=9)
    shutil.rmtree(changed)
    data.save_to_disk(str(changed))
    capsys.readouterr()
    assert run(folder) == 2 and states(queue) == ["open", "open", "done"]
    said = capsys.readouterr().err
    assert "the data of request 1 cannot be had any more" in said and "the data of request 2 has changed" in said
    assert len([line for line in said.splitlines() if line.startswith("hf-unlearn")]) == 1


def test_the_same_request_is_recognised_however_it_is_spelt(add, folder, queue, capsys):
    assert add(*P1) == 0
    rows = [str(row) for row in range(1, 48, 6)]
    assert add("--forget_indices", *rows) == 2
    assert "is in the ledger already: request 1 (the samples with given values of 'person'), open" in (
        capsys.readouterr().err
    )
    assert main(["requests", "cancel", str(folder), "1", "--reason", "a mistake"]) == 0
    assert main(["requests", "cancel", str(folder), "1"]) == 2 and "request 1 is cancelled" in capsys.readouterr().err
    assert add("--forget_indices", *rows) == 0 and states(queue) == ["cancelled", "open"]


def test_a_class_that_is_gone_or_asked_for_is_not_asked_for_again(add, folder, queue, stand_in, capsys):
    add(*RED)
    assert add("--forget_classes", "green", "red") == 2
    assert "class 'red' is to be forgotten by request 1" in capsys.readouterr().err
    run(folder)
    assert add("--forget_classes", "green", "red") == 2
    assert "class 'red' was forgotten by request 1" in capsys.readouterr().err
    # Nor one that the model did not know when the ledger was begun.
    other = folder.with_name("another")
    words = ["--dataset_name", queue.read().request(1).flags["dataset_name"], "--forget_classes", "red", "blue"]
    first = str(folder / "models" / "0001")
    assert main(["requests", "add", str(other), "--model_name_or_path", first, *words]) == 2
    assert "class 'red' was forgotten before the ledger was begun" in capsys.readouterr().err
    assert not other.exists()


def test_a_ledger_of_another_model_is_refused(add, folder, queue, stand_in, saved_model, tmp_path, capsys):
    own = shutil.copytree(saved_model(), tmp_path / "own")
    assert add(*RED, model=own) == 0 and add(*BLUE, model=own) == 0
    make_model(seed=5).save_pretrained(tmp_path / "other")
    make_processor().save_pretrained(tmp_path / "other")
    assert add(*GREEN, model=tmp_path / "other") == 2
    assert "is of" in (said := capsys.readouterr().err) and "is another model" in said
    shutil.copy(tmp_path / "other" / "model.safetensors", own)
    assert run(folder) == 2 and stand_in.calls == []
    assert "another model; expected the one that the ledger was begun with" in capsys.readouterr().err


def test_a_broken_chain_stops_everything_and_says_where(add, folder, queue, stand_in, capsys):
    add(*RED), add(*P1)
    lines = queue.ledger.path.read_bytes().splitlines(keepends=True)
    queue.ledger.path.write_bytes(b"".join([lines[0], lines[1].replace(b"red", b"sad"), lines[2]]))
    for words in (["list"], ["run"], ["cancel"]):
        action, *rest = words
        assert main(["requests", action, str(folder), *(["1"] if action == "cancel" else []), *rest]) == 2
        assert "is broken at line 2" in capsys.readouterr().err
    assert add(*BLUE) == 2 and stand_in.calls == []


def test_deadlines_are_shown(add, folder, capsys):
    late, soon = (date.today() - timedelta(days=days) for days in (33, 30))
    add(*RED, "--received", str(late)), add(*P1, "--received", str(soon), "--operator", "Ada")
    capsys.readouterr()
    assert main(["requests", "list", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"due {late + timedelta(days=30)}, OVERDUE by 3 days" in said and "by Ada" in said
    assert f"due {date.today()}, in 0 days" in said and "the class 'red', 12 samples" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "{}", "--forget_classes", "red"], "holds no ledger yet; expected --model_name_or_path"),
        (["add", "{}", "--received", "yesterday"], "'yesterday' is not a day; expected YYYY-MM-DD"),
        (["add", "{}", "--received", "2999-01-01"], "is still to come"),
        (["add", "{}", "--received", "0001-01-01"], "is long ago; expected a day since 2000"),
        (["list", "{}"], "holds no requests.jsonl"),
        (["run", "{}"], "holds no requests.jsonl"),
        (["run", "{}", "--output_dir", "x"], "--output_dir is said by the ledger"),
        (["run", "{}", "--forget_classes", "red"], "--forget_classes is said by the ledger"),
        (["run", "{}", "--seeds", "1", "2"], "--seeds makes several models; a run makes one"),
        (["run", "{}", "--push_to_hub"], "a run publishes nothing; expected hf-unlearn push"),
        (["cancel", "{}", "1"], "holds no requests.jsonl"),
        (["cancel", "{}", "one"], "invalid int value: 'one'"),
        (["forget", "{}"], "'forget' is not done to requests"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, said, tmp_path, capsys):
    assert main(["requests", *(word.format(tmp_path / "none") for word in words)]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


def test_a_setting_that_unlearn_does_not_know_is_found_before_a_request_is_taken_up(add, folder, queue, capsys):
    add(*P1)
    assert run(folder, "--max_stepz", "3") == 2 and "--max_stepz" in capsys.readouterr().err
    assert states(queue) == ["open"]


def test_there_is_no_request_of_that_number(add, folder, capsys):
    add(*RED)
    assert main(["requests", "cancel", str(folder), "2"]) == 2
    assert "there is no request 2; expected one of 1 to 1" in capsys.readouterr().err


def test_evaluate_finds_the_samples_of_earlier_requests_in_the_ledger(add, folder, stand_in, saved_dataset, capsys):
    for words in (P1, RED):
        add(*words)
        assert run(folder, "--begin_with", "newest") == 0
    newest = str(folder / "models" / "0002")
    words = ["evaluate", "--model", newest, "--dataset_name", saved_dataset, "--forget_classes", "red", "--use_cpu"]
    assert main([*words, "--level", "fast"]) == 0
    said = "Earlier request 1, the samples with given values of 'person': forget accuracy"
    assert said in capsys.readouterr().out
    found = read_record(newest)["earlier"][0]["evaluation"]
    assert found["counts"]["forget"] == 8
    # What is published of it is nothing that depends on whose they are.
    assert "forget" not in published(read_record(newest))["earlier"][0]["evaluation"]["counts"]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("added", {}),
        ("added", {"request": {"received": "soon"}}),
        ("cancelled", {"request": 7}),
        ("finished", {"run": 3}),
        ("opened", {}),
        ("forgiven", {}),
    ],
)
def test_an_entry_that_says_nothing_is_one_line(add, folder, queue, capsys, kind, what):
    add(*RED)
    with queue.ledger.locked():
        queue.ledger.append(kind, what, "somebody")
    capsys.readouterr()
    assert main(["requests", "list", str(folder)]) == 2
    said = capsys.readouterr().err
    assert repr(kind) in said and len(said.splitlines()) == 1


def test_the_ledger_is_never_published_nor_told_of_in_a_card(add, folder, queue, stand_in):
    add(*P1)
    run(folder)
    model = folder / "models" / "0001"
    # Even if somebody puts it among the model's files.
    shutil.copy(queue.read().ledger.path, model)
    names = published_files(str(model))
    assert queue.ledger.path.name not in names and not [name for name in names if "jsonl" in name]
    texts = "".join((model / name).read_text() for name in names if name.endswith((".json", ".md")))
    entries = queue.ledger.read()
    secrets = {each[name] for each in entries for name in ("salt", "digest")} | {"person", "p1"}
    found = [each for each in secrets if each in texts.replace("a person", "").replace("person's", "")]
    assert found == []


def test_the_real_thing_killed_after_its_steps_goes_on_from_its_checkpoint(add, folder, queue, monkeypatch):
    add(*P1), add(*P2)
    words = ["--use_cpu", "--max_steps", "2", "--num_rounds", "1", "--stop_rule", "steps", "--label_shift", "1.0"]
    words += ["--save_strategy", "steps", "--save_steps", "1", "--disable_tqdm", "true"]
    plain, began = queue_runs.unlearn.main, []
    monkeypatch.setattr(queue_runs.unlearn, "main", lambda argv: (began.append(argv[-1]), plain(argv)))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(UnlearningTrainer, "check_outcome", lambda trainer: (_ for _ in ()).throw(Killed))
        run(folder, *words)
    assert states(queue) == ["running", "running"] and (folder / "models" / "0001" / "checkpoint-2").is_dir()
    assert run(folder) == 0 and states(queue) == ["done", "done"]
    assert began == ["--overwrite_output_dir", "--resume_from_checkpoint=true"]
    record = read_record(str(folder / "models" / "0001"))
    assert record["num_forget"] == 16 and record["steps"] == 2
    assert record["weights_sha256"]["unlearned"] == queue.newest()[2]
    assert json.loads(queue.ledger.path.read_text().splitlines()[-1])["kind"] == "finished"
