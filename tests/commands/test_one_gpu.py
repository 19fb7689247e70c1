"""On a machine with several GPUs and no launcher, a command takes one of them and says so."""

from __future__ import annotations

import pytest
from transformers import TrainingArguments

from hf_unlearn.commands.main import main


@pytest.fixture
def four_gpus(monkeypatch):
    """What `TrainingArguments` says until somebody settles for one; the work is done by the CPU."""
    seen = property(lambda args: 1 if args._n_gpu == 1 else 4)
    monkeypatch.setattr(TrainingArguments, "n_gpu", seen)


@pytest.mark.parametrize("command", ["unlearn", "train"])
def test_it_is_said_and_the_batch_is_that_of_one(four_gpus, saved_model, saved_dataset, tmp_path, capsys, command):
    words = [command, "--model_name_or_path", saved_model(), "--dataset_name", saved_dataset, "--use_cpu"]
    words += ["--forget_classes", "red", "--max_steps", "1", "--output_dir", str(tmp_path / "out")]
    assert main([*words, *(["--stop_rule", "steps"] if command == "unlearn" else [])]) == 0
    said = capsys.readouterr().out
    assert "  mended  one of 4 GPUs is used, the first; started with `accelerate launch` all of them are" in said
