"""`hf-unlearn unlearn --seeds`: several runs in one command, as references for an evaluation."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from hf_unlearn.commands.main import main


@pytest.fixture
def words(tmp_path, saved_model, saved_dataset):
    common = ["--model_name_or_path", saved_model("vit"), "--dataset_name", saved_dataset, "--forget_classes", "red"]
    return [
        "unlearn",
        *common,
        "--use_cpu",
        "--method",
        "retrain",
        "--max_steps",
        "2",
        "--output_dir",
        str(tmp_path / "r"),
    ]


def weights(folder):
    return torch.cat([value.flatten() for value in load_file(folder / "model.safetensors").values()])


def test_each_seed_is_the_run_of_that_seed(tmp_path, words, capsys):
    assert main([*words, "--seeds", "3", "4"]) == 0
    shown = capsys.readouterr().out
    folders = [tmp_path / f"r-{seed}" for seed in (3, 4)]
    assert f"--reference_model {folders[0]} {folders[1]}" in shown
    records = [json.loads((folder / "unlearning.json").read_text()) for folder in folders]
    assert [record["settings"]["seed"] for record in records] == [3, 4]
    assert not torch.equal(*map(weights, folders)) and not (tmp_path / "r").exists()
    alone = [*words[:-1], str(tmp_path / "alone"), "--seed", "4"]
    assert main(alone) == 0
    assert torch.equal(weights(tmp_path / "alone"), weights(folders[1]))


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--seeds", "1", "1"], r"seeds are [1, 1]; expected different ones"),
        (["--seeds", "1", "--push_to_hub"], "--push_to_hub is of one run"),
        (["--seeds", "1", "--num_processes", "2"], "--num_processes is of one run"),
        (["--seeds", "1", "2", "--resume_from_checkpoint", "x"], "--resume_from_checkpoint is of one run"),
        (["--seeds", "one"], "seeds"),
        (["--seeds", "1", "-1"], "seed is -1; expected 0 to 4294967295"),
        (["--seeds", "1", "4294967296"], "seed is 4294967296; expected 0 to 4294967295"),
        (["--seed", "7", "--seeds", "1"], "seed 7 and seeds [1] are both given"),
    ],
)
def test_bad_input_is_one_line(tmp_path, words, capsys, more, named):
    assert main([*words, *more]) == 2
    said = capsys.readouterr().err.strip()
    assert named in said and len(said.splitlines()) == 1
    assert not list(tmp_path.glob("r*"))


def test_a_place_that_is_taken_is_found_before_the_first_run(tmp_path, words, capsys):
    taken = tmp_path / "r-2"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    assert main([*words, "--seeds", "1", "2"]) == 2
    assert "r-2' is not empty" in capsys.readouterr().err and not (tmp_path / "r-1").exists()
    assert main([*words[:-2], "--seeds", "1"]) == 2
    assert "--output_dir is missing" in capsys.readouterr().err
