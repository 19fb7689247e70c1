"""Runs that are killed at random moments, and taken up by the same command, end as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time

import pytest
from safetensors.torch import load_file

from hf_unlearn.trainers.base.checkpoints import is_whole, last_whole_checkpoint, mark_whole

KILLS = 30
# Imported once, in the process that the runs are forked from: a run then takes about a second.
PRELOADED = ["hf_unlearn.commands.unlearn", "hf_unlearn.trainers", "hf_unlearn.publishing.card", "torch", "datasets"]


def command(words: list[str], dies_in: str | None = None) -> None:
    """Run a command; with `dies_in`, until the second checkpoint has come as far as this call."""
    from hf_unlearn.commands.main import main

    if dies_in is not None:
        kill_in_second_save(dies_in)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.exit(main(words))


def kill_in_second_save(name: str) -> None:
    import hf_unlearn.trainers.base.checkpoints as module
    from hf_unlearn import MUMisTrainer

    owner = module if hasattr(module, name) else MUMisTrainer
    own, calls = getattr(owner, name), []

    def deadly(*args, **kwargs):
        calls.append(name)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return own(*args, **kwargs)

    setattr(owner, name, deadly)


@pytest.fixture(scope="module")
def start():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def run(words: list[str], dies_in: str | None = None) -> multiprocessing.Process:
        process = context.Process(target=command, args=(words, dies_in))
        process.start()
        return process

    return run


def words_of(model: str, dataset: str) -> list[str]:
    words = ["unlearn", "--model_name_or_path", model, "--dataset_name", dataset, "--use_cpu"]
    words += ["--forget_classes", "red", "--per_device_train_batch_size", "5", "--max_steps", "12", "--num_rounds", "2"]
    words += ["--stop_rule", "steps", "--save_strategy", "steps", "--save_steps", "1", "--save_total_limit", "2"]
    return [*words, "--output_dir"]


@pytest.mark.distributed
def test_killed_in_a_save_and_resumed(tmp_path, saved_model, saved_dataset, start):
    words = words_of(saved_model("vit"), saved_dataset)
    process = start([*words, str(tmp_path / "whole")])
    process.join()
    assert process.exitcode == 0
    # In the order of a save: the weights, the optimizer, the random state, the mark, the older ones going.
    for name in ("_save", "_save_optimizer_and_scheduler", "_save_rng_state", "mark_whole", "rotate_checkpoints"):
        folder = tmp_path / name
        process = start([*words, str(folder)], name)
        process.join()
        assert process.exitcode == -signal.SIGKILL, name
        # The second checkpoint is there, in part or whole, and taken only if it is whole.
        taken = 2 if name == "rotate_checkpoints" else 1
        assert (folder / "checkpoint-2").is_dir() or name == "_save"
        assert last_whole_checkpoint(str(folder)) == str(folder / f"checkpoint-{taken}")
        process = start([*words, str(folder), "--resume_from_checkpoint", "true"])
        process.join()
        assert process.exitcode == 0, name
        same_outcome(folder, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["resnet", "vit"])
def test_killed_at_random_and_resumed(tmp_path, saved_model, saved_dataset, start, model_type):
    words = words_of(saved_model(model_type), saved_dataset)
    # The first run pays for the imports.
    for name in ("warm", "whole"):
        started = time.monotonic()
        process = start([*words, str(tmp_path / name)])
        process.join()
        assert process.exitcode == 0
    seconds = time.monotonic() - started

    chance = random.Random(0)
    kills, attempts, steps_at_kill = 0, 0, set()
    folder = tmp_path / "killed-0"
    while True:
        attempts += 1
        checkpoint = last_whole_checkpoint(str(folder))
        go_on = ["--resume_from_checkpoint", "true"] if checkpoint else ["--overwrite_output_dir"]
        process = start([*words, str(folder), *go_on])
        if kills < KILLS:
            process.join(timeout=chance.uniform(0.2, 1.0) * seconds)
        else:
            process.join()
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
            steps_at_kill.add(os.path.basename(last_whole_checkpoint(str(folder)) or "none"))
            continue
        assert process.exitcode == 0
        same_outcome(folder, tmp_path / "whole")
        if kills >= KILLS:
            break
        folder = tmp_path / f"killed-{attempts}"
    # The kills came all over the run, not always before the first checkpoint.
    assert len(steps_at_kill) > 4


def same_outcome(folder, whole):
    ours, theirs = (load_file(str(each / "model.safetensors")) for each in (folder, whole))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert weight.equal(theirs[name]), name
    ours, theirs = (json.loads((each / "unlearning.json").read_text()) for each in (folder, whole))
    for name in ("steps", "stop_reason", "premise", "surroundings_agreement", "weights_sha256", "checks"):
        assert ours[name] == theirs[name], name


def test_a_checkpoint_that_is_half_there_is_not_taken(tmp_path):
    for step, content in ((2, "abc"), (10, "abcdef"), (9, "abcde")):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_text(content)
        mark_whole(str(folder))
    assert last_whole_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-10")
    (tmp_path / "checkpoint-10" / "model.safetensors").write_text("abc")
    assert last_whole_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-9")
    (tmp_path / "checkpoint-9" / "whole.json").unlink()
    assert last_whole_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-2")
    (tmp_path / "checkpoint-2" / "model.safetensors").unlink()
    assert last_whole_checkpoint(str(tmp_path)) is None and not is_whole(str(tmp_path / "nowhere"))
