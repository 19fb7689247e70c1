"""Flags of the Trainer that a command cannot serve: one line, status 2, nothing left; those that it can, it does."""

from __future__ import annotations

import json

import pytest

from hf_unlearn.commands.main import main

RESNET = '{"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}'


@pytest.fixture
def run(tmp_path, capsys, saved_model, saved_dataset):
    """Run a command; returns its status, what it said, and whether there is anything in the folder for it."""
    words = {
        "unlearn": ["--model_name_or_path", saved_model(), "--forget_classes", "red"],
        "train": ["--model_type", "resnet", "--image_size", "16", "--config_overrides", RESNET],
    }

    def with_flags(command, *flags):
        out = tmp_path / "out"
        given = [*words[command], "--dataset_name", saved_dataset, "--use_cpu", "--output_dir", str(out)]
        steps = (
            [] if any(flag.startswith(("--max_steps", "--num_train_epochs")) for flag in flags) else ["--max_steps=1"]
        )
        capsys.readouterr()
        status = main([command, *given, *steps, *flags])
        captured = capsys.readouterr()
        return status, captured.out + captured.err, out

    return with_flags


@pytest.mark.parametrize("command", ["unlearn", "train"])
@pytest.mark.parametrize(
    "flag",
    [
        *("--report_to=wandb", "--report_to=wadb", "--seed=-1", "--seed=5000000000", "--gradient_accumulation_steps=0"),
        *("--deepspeed=ds.json", "--fsdp=full_shard", "--learning_rate=nan", "--learning_rate=1e300", "--max_steps=0"),
        *("--num_train_epochs=0", "--load_best_model_at_end", "--lr_scheduler_type=warmup_stable_decay"),
        *("--lr_scheduler_kwargs=nonsense", "--neftune_noise_alpha=5", "--dataloader_num_workers=-1"),
        *("--optim=adamw_8bit", "--dataloader_drop_last", "--accelerator_config=nowhere.json"),
    ],
)
def test_a_flag_that_cannot_be_served(run, command, flag):
    status, said, out = run(command, flag)
    assert status == 2, said
    lines = [line for line in said.splitlines() if ": warning: " not in line]
    assert len(lines) == 1 and lines[0].startswith(f"hf-unlearn {command}: error: ") and not out.exists()


def test_unlearn_evaluates_nothing_meanwhile(run):
    for flag in ("--eval_strategy=epoch", "--eval_on_start"):
        status, said, out = run("unlearn", flag)
        assert status == 2 and "hf-unlearn evaluate" in said and not out.exists()


def test_train_evaluates_on_the_test_set(run):
    flags = ("--eval_strategy=epoch", "--num_train_epochs=2", "--save_strategy=epoch")
    status, said, out = run("train", *flags, "--per_device_train_batch_size=24")
    assert status == 0, said
    history = json.loads((out / "checkpoint-4" / "trainer_state.json").read_text())["log_history"]
    accuracies = [line["eval_accuracy"] for line in history if "eval_accuracy" in line]
    assert len(accuracies) == 2 and f"test accuracy {accuracies[-1]:.2f} %" in said


@pytest.mark.parametrize("flag", ["--load_best_model_at_end", "--lr_scheduler_type=reduce_lr_on_plateau"])
def test_train_chooses_nothing_by_the_test_set(run, flag):
    status, said, _ = run("train", "--eval_strategy=epoch", "--save_strategy=epoch", flag)
    assert status == 2 and "would choose by the test set" in said


@pytest.mark.parametrize("command", ["unlearn", "train"])
def test_a_launcher_that_asks_for_more_than_is_verified(run, monkeypatch, command):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    status, said, out = run(command)
    assert status == 2 and "DeepSpeed" in said and not out.exists()
