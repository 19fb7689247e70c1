"""A run goes on as it was begun, or not at all."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from datasets import DatasetDict
from safetensors.torch import load_file

from hf_unlearn.commands.main import main
from tests.tiny import make_dataset, make_model, make_processor

RESNET = '{"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}'
SAVING = ["--use_cpu", "--save_strategy", "steps", "--save_steps", "2", "--max_steps", "4"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, saved_model, saved_dataset):
    """Words and folder of a run of each command that was stopped after half its steps."""
    folder = tmp_path_factory.mktemp("runs")
    data = ["--dataset_name", saved_dataset, *SAVING, "--forget_classes", "red"]
    words = {
        "unlearn": [*data, "--stop_rule", "steps", "--model_name_or_path", saved_model()],
        "train": [*data, "--model_type", "resnet", "--image_size", "16", "--config_overrides", RESNET],
    }
    for command, given in words.items():
        assert main([command, *given, "--output_dir", str(folder / command)]) == 0
        shutil.rmtree(folder / command / "checkpoint-4")
    return folder, words


@pytest.fixture
def resume(runs, tmp_path, capsys):
    """Go on with a copy of a command's run, with other words; returns status, error line and folder."""
    folder, words = runs

    def go_on(command, *more, without=(), checkpoint="true"):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder / command, out)
        given = list(words[command])
        for flag in without:
            place = given.index(flag)
            del given[place : place + 2]
        capsys.readouterr()
        words_now = [command, *given, *map(str, more), "--output_dir", str(out), "--resume_from_checkpoint", checkpoint]
        status = main(words_now)
        return status, capsys.readouterr().err, out

    return go_on


@pytest.mark.parametrize("command", ["unlearn", "train"])
def test_the_same_command_goes_on(runs, resume, command):
    status, error, out = resume(command)
    assert status == 0, error
    one, two = (load_file(folder / "model.safetensors") for folder in (runs[0] / command, out))
    assert all((one[name] == two[name]).all() for name in one)


@pytest.mark.parametrize("command", ["unlearn", "train"])
@pytest.mark.parametrize(
    ("more", "without", "said"),
    [
        (["--learning_rate", "0.003"], (), "with learning_rate 0.002, and this command says 0.003"),
        (["--seed", "7"], (), "with seed 42, and this command says 7"),
        (["--max_steps", "6"], ("--max_steps",), "with max_steps 4, and this command says 6"),
        (["--per_device_train_batch_size", "5"], (), "samples_per_step"),
        (
            ["--forget_classes", "blue"],
            ("--forget_classes",),
            "with forget_request \"the class 'red'\"",
        ),
    ],
)
def test_other_settings_are_refused(resume, command, more, without, said):
    status, error, out = resume(command, *more, without=without)
    assert status == 2 and said in error and "expected the same" in error
    assert load_file(out / "model.safetensors").keys() and (out / "checkpoint-2").is_dir()


@pytest.mark.parametrize(
    ("command", "more", "without", "said"),
    [
        (
            "unlearn",
            ["--method", "gradient_ascent"],
            (),
            "with method 'mu_mis', and this command says 'gradient_ascent'",
        ),
        ("unlearn", ["--label_shift", "2"], (), "label_shift"),
        (
            "unlearn",
            ["--label_mapping", '{"red": 1, "green": 0}'],
            (),
            "with label_mapping None, and this command says",
        ),
        ("train", [], ("--forget_classes",), "with forget_request"),
        ("train", ["--weight_decay", "0.1"], (), "with weight_decay 0.05, and this command says 0.1"),
        ("train", ["--image_size", "8"], ("--image_size",), "which has changed"),
    ],
)
def test_other_runs_are_refused(resume, command, more, without, said):
    status, error, _ = resume(command, *more, without=without)
    assert status == 2 and said in error


def test_another_dataset_is_refused(resume, tmp_path):
    data = DatasetDict({"train": make_dataset(44), "test": make_dataset(8, seed=1)})
    data.save_to_disk(str(tmp_path / "data"))
    for command in ("unlearn", "train"):
        status, error, _ = resume(command, "--dataset_name", tmp_path / "data", without=("--dataset_name",))
        assert status == 2 and "which has changed since then" in error


def test_another_model_is_refused(resume, tmp_path):
    make_model(seed=1).save_pretrained(tmp_path / "model")
    make_processor().save_pretrained(tmp_path / "model")
    status, error, _ = resume("unlearn", "--model_name_or_path", tmp_path / "model", without=("--model_name_or_path",))
    assert status == 2 and "run with model '" in error


def test_what_changes_no_result_may_change(resume):
    more = ["--logging_steps", "3", "--save_total_limit", "2", "--per_device_eval_batch_size", "7"]
    parted = ["--per_device_train_batch_size", "16", "--gradient_accumulation_steps", "2"]
    assert resume("unlearn", *more, *parted)[0] == 0


@pytest.mark.parametrize("spelling", ["slash", "link", "relative", "home"])
def test_a_model_is_the_same_by_any_path(resume, tmp_path, monkeypatch, saved_model, spelling):
    folder = saved_model()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("HOME", os.path.dirname(folder))
    monkeypatch.chdir(tmp_path)
    named = {
        "slash": f"{folder}/",
        "link": str(tmp_path / "link"),
        "relative": os.path.relpath(folder, os.path.realpath(tmp_path)),
        "home": f"~/{os.path.basename(folder)}",
    }[spelling]
    status, error, _ = resume("unlearn", f"--model_name_or_path={named}", without=("--model_name_or_path",))
    assert status == 0, error


@pytest.mark.parametrize("command", ["unlearn", "train"])
def test_a_checkpoint_that_cannot_be_gone_on_from(resume, runs, tmp_path, command):
    def changed(change):
        folder = tmp_path / "checkpoint-2"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(runs[0] / command / "checkpoint-2", folder)
        change(folder)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "whole.json"}
        (folder / "whole.json").write_text(json.dumps(sizes))
        return str(folder)

    def other_names(folder):
        from safetensors.torch import save_file

        weights = load_file(folder / "model.safetensors")
        save_file({f"encoder.{name}": value for name, value in weights.items()}, folder / "model.safetensors")

    for change, said in (
        (lambda folder: (folder / "optimizer.pt").unlink(), "holds the model alone"),
        (lambda folder: (folder / "unlearning_run.json").unlink(), "does not say what its run is"),
        (lambda folder: (folder / "unlearning_run.json").write_text("[]"), "does not say what its run is"),
        (other_names, "lacks"),
    ):
        status, error, _ = resume(command, "--overwrite_output_dir", checkpoint=changed(change))
        assert status == 2 and said in error, error
