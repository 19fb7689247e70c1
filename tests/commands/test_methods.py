"""`hf-unlearn unlearn --method NAME` for each of them."""

from __future__ import annotations

import importlib
import json

import pytest
from datasets import DatasetDict, load_from_disk
from transformers import AutoModelForImageClassification

from hf_unlearn.commands.main import main
from hf_unlearn.trainers.registry import METHODS, settings_of
from tests.tiny import make_dataset
from tests.trainers.runs import AT_ONCE, OTHERS, WITH_UNSEEN


@pytest.mark.parametrize("name", OTHERS)
def test_from_the_command_line(tmp_path, saved_model, saved_dataset, monkeypatch, name):
    if name in WITH_UNSEEN:
        data = load_from_disk(saved_dataset)
        saved_dataset = str(tmp_path / "data")
        DatasetDict(**data, unseen=make_dataset(24, seed=9)).save_to_disk(saved_dataset)
    words = ["unlearn", "--model_name_or_path", saved_model("vit"), "--dataset_name", saved_dataset, "--use_cpu"]
    words += ["--method", name, "--forget_classes", "red", "--output_dir", str(tmp_path / "out")]
    # An untrained model loses what it does not know at the first long step.
    words += ["--alpha", "1e6"] if name == "ssd" else []
    words += ["--reference_split", "unseen"] if name in WITH_UNSEEN else []
    if name == "esc":
        # What the features of all inputs have in common is erased, and an untrained model knows no more.
        monkeypatch.setattr("hf_unlearn.trainers.base.trainer.UnlearningTrainer.least_agreement", 0.0)
    words += [] if name in AT_ONCE else ["--max_steps", "2", "--learning_rate", "1e-6"]
    assert main(words) == 0
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    trainer = getattr(importlib.import_module("hf_unlearn"), METHODS[name].trainer)
    assert record["method"]["name"] == name and record["method"]["paper"] == trainer.paper["id"]
    assert record["retain_free"] == METHODS[name].retain_free and record["steps"] == (1 if name in AT_ONCE else 2)
    card = (tmp_path / "out" / "README.md").read_text()
    assert trainer.title in card and f"--method {name}" in card
    assert ("without retained data" in card) == (METHODS[name].retain_free and name not in WITH_UNSEEN)
    if trainer.paper["id"]:
        assert f"https://huggingface.co/papers/{trainer.paper['id']}" in card
        assert trainer.paper["citation"].splitlines()[0] in card
    AutoModelForImageClassification.from_pretrained(tmp_path / "out")


def test_help_says_which_methods_need_retained_samples(capsys):
    for name, method in METHODS.items():
        with pytest.raises(SystemExit):
            main(["unlearn", "--method", name, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert "With the rest of the training set: fine_tune," in shown
        assert (settings_of(method.module, method.config).__doc__ or "").rstrip(".") in shown


def test_a_reference_split_may_have_no_labels(tmp_path, saved_model, saved_dataset, capsys):
    data = load_from_disk(saved_dataset)
    withheld = make_dataset(40, seed=9).map(lambda row: {**row, "label": -1})
    for name, part in {"withheld": withheld, "bare": make_dataset(40, seed=9).select_columns(["image"])}.items():
        folder = str(tmp_path / f"data-{name}")
        DatasetDict(**data, unseen=part).save_to_disk(folder)
        words = ["unlearn", "--model_name_or_path", saved_model("vit"), "--dataset_name", folder, "--use_cpu"]
        words += ["--forget_fraction", "0.2", "--reference_split", "unseen", "--max_steps", "2"]
        assert main([*words, "--output_dir", str(tmp_path / name)]) == 0
        record = json.loads((tmp_path / name / "unlearning.json").read_text())
        assert record["data_used"] == "the samples to forget and unlabelled reference samples"
        assert "unlabelled reference samples: 40 of unseen" in capsys.readouterr().out
