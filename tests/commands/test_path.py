"""The whole way through the commands, on a task small enough for a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hf_unlearn.commands.main import COMMANDS, main
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.settings import public_arguments

RESNET = '{"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}'
CPU = ["--use_cpu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, saved_dataset):
    """Folder with `original` and `retrained`, the latter without the class red."""
    folder = tmp_path_factory.mktemp("path")
    start = ["train", "--dataset_name", saved_dataset, "--model_type", "resnet", "--image_size", "16", *CPU]
    start += ["--config_overrides", RESNET, "--num_train_epochs", "12", "--per_device_train_batch_size", "16"]
    assert main([*start, "--output_dir", str(folder / "original")]) == 0
    assert main([*start, "--forget_classes", "red", "--output_dir", str(folder / "retrained")]) == 0
    return folder


@pytest.fixture(scope="module")
def unlearned(trained, saved_dataset):
    words = ["unlearn", "--model_name_or_path", str(trained / "original"), "--dataset_name", saved_dataset, *CPU]
    assert main([*words, "--forget_classes", "red", "--output_dir", str(trained / "unlearned")]) == 0
    return trained / "unlearned"


def test_evaluate_writes_the_comparison(trained, unlearned, saved_dataset, tmp_path, capsys):
    words = ["evaluate", "--model_name_or_path", str(unlearned), "--original_model", str(trained / "original")]
    words += ["--reference_model", str(trained / "retrained"), "--dataset_name", saved_dataset, *CPU]
    assert main([*words, "--forget_classes", "red", "--output_dir", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["schema_version"] == 2 and results["request"]["kind"] == "class"
    assert len(results["fingerprint"]) == 64
    models = results["models"]
    assert list(models) == ["original", "masked", "unlearned", "retrained"]
    assert models["original"]["forget_accuracy"] > 90 and models["original"]["test_accuracy_forgotten"] > 90
    assert models["retrained"]["forget_accuracy"] == 0 and models["retrained"]["average_gap"] is None
    assert models["unlearned"]["forget_accuracy"] < 20
    three = ("forget_accuracy", "test_accuracy_remaining", "test_accuracy")
    differences = [abs(models["unlearned"][name] - models["retrained"][name]) for name in three]
    assert models["unlearned"]["average_gap"] == pytest.approx(sum(differences) / 3)
    assert models["unlearned"]["runtime_ratio"] > 0 and "↓" in capsys.readouterr().out
    assert "How well was it forgotten?" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_level_deep_runs_the_method_on_the_head_alone(trained, unlearned, saved_dataset, tmp_path, capsys):
    words = ["evaluate", "--model_name_or_path", str(unlearned), "--dataset_name", saved_dataset, *CPU]
    words += ["--forget_classes", "red", "--level", "deep", "--output_dir", str(tmp_path)]
    assert main([*words, "--original_model", str(trained / "original")]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    models = results["models"]
    assert list(models) == ["original", "masked", "head_only", "unlearned"]
    assert models["head_only"]["forget_cosine"] == pytest.approx(models["original"]["forget_cosine"], abs=1e-6)
    assert models["head_only"]["name"] == models["original"]["name"] == "original"
    assert "head only" in capsys.readouterr().out
    # Of another original there is no such run.
    assert main([*words, "--original_model", str(trained / "retrained"), "--overwrite_output_dir"]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert "head_only" not in results["models"] and "other weights" in results["left_out"]["head only"]


def test_without_a_reference_there_is_no_gap(unlearned, saved_dataset, tmp_path, capsys):
    words = ["evaluate", "--model", str(unlearned), "--dataset_name", saved_dataset, *CPU]
    assert main([*words, "--forget_classes", "red", "--output_dir", str(tmp_path)]) == 0
    models = json.loads((tmp_path / "results.json").read_text())["models"]
    assert list(models) == ["unlearned"] and "average_gap" not in models["unlearned"]
    assert "nobody can say without one" in capsys.readouterr().out


def test_the_unlearned_model_loads_like_any_other(unlearned):
    from transformers import pipeline

    from tests.tiny import make_dataset

    classify = pipeline("image-classification", model=str(unlearned))
    answers = classify(make_dataset(4)[1]["image"])
    assert {answer["label"] for answer in answers} <= {"red", "green", "blue", "grey"}
    assert abs(sum(answer["score"] for answer in answers) - 1) < 0.01


def test_the_record_says_what_was_done_and_no_more(trained, unlearned, saved_dataset):
    text = (unlearned / "unlearning.json").read_text()
    record = json.loads(text)
    assert record["request"] == {"kind": "class", "classes": ["red"], "text": "the class 'red'"}
    assert (record["num_forget"], record["num_retain"]) == (12, 36)
    assert record["steps"] > 0 and record["stop_reason"]
    assert record["original_model"]["name"] == "original"
    assert str(trained) not in text and os.path.dirname(saved_dataset) not in text


def test_a_file_of_settings_with_flags_over_it(trained, saved_dataset, tmp_path):
    settings = {"dataset_name": saved_dataset, "forget_classes": ["blue"], "max_steps": 3, "use_cpu": True}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    words = ["unlearn", "--config", str(tmp_path / "settings.yaml"), "--model_name_or_path", str(trained / "original")]
    words += ["--output_dir", str(tmp_path / "out"), "--max_steps", "1"]
    assert main(words) == 0
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    assert record["request"]["classes"] == ["blue"] and record["steps"] == 1


def test_a_model_whose_labels_are_in_another_order(tmp_path, saved_dataset):
    from transformers import AutoModelForImageClassification

    from tests.tiny import LABELS, make_model, make_processor

    # Only the order of the labels differs; the model answers the same.
    plain, turned = make_model(label_names=LABELS), make_model(label_names=LABELS[::-1])
    turned.load_state_dict(plain.state_dict())
    head = turned.classifier[1]
    head.weight.data, head.bias.data = head.weight.data.flip(0), head.bias.data.flip(0)
    for name, model in (("plain", plain), ("turned", turned)):
        model.save_pretrained(tmp_path / name)
        make_processor().save_pretrained(tmp_path / name)
        words = ["unlearn", "--model_name_or_path", str(tmp_path / name), "--dataset_name", saved_dataset, *CPU]
        words += ["--forget_classes", "red", "--max_steps", "1", "--objective", "difference", "--alpha_irrelevant", "0"]
        assert main([*words, "--output_dir", str(tmp_path / f"{name}-out")]) == 0
    plain, turned = (
        AutoModelForImageClassification.from_pretrained(tmp_path / f"{name}-out") for name in ("plain", "turned")
    )
    # Without the randomly drawn irrelevant class the two runs are the same run.
    import torch

    torch.testing.assert_close(plain.classifier[1].weight, turned.classifier[1].weight.flip(0))


def test_results_hold_no_folder_of_the_machine(trained, unlearned, saved_dataset, tmp_path):
    words = ["evaluate", "--model", str(unlearned), "--dataset_name", saved_dataset, "--forget_classes", "red", *CPU]
    assert main([*words, "--output_dir", str(tmp_path)]) == 0
    text = (tmp_path / "results.json").read_text()
    assert str(trained) not in text and os.path.dirname(saved_dataset) not in text


def test_what_is_saved_is_json_to_the_letter(unlearned):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    for name in ("unlearning.json", "training_args.json"):
        saved = json.loads((unlearned / name).read_text(), parse_constant=refuse)
        assert saved["settings" if name == "unlearning.json" else "objective"]


def test_a_subset_runs_on_the_schedule_that_the_library_gives(trained, saved_dataset, tmp_path):
    from datasets import DatasetDict

    from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, make_splits

    words = ["unlearn", "--model_name_or_path", str(trained / "original"), "--dataset_name", saved_dataset, *CPU]
    assert main([*words, "--forget_fraction", "0.2", "--output_dir", str(tmp_path / "out")]) == 0
    by_command = read_record(str(tmp_path / "out"))["settings"]

    splits = make_splits(DatasetDict.load_from_disk(saved_dataset), ForgetRequest(fraction=0.2))
    args = MUMisConfig(output_dir=str(tmp_path / "other"), use_cpu=True, disable_tqdm=True)
    trainer = MUMisTrainer(str(trained / "original"), args, splits)
    trainer.train()
    ran = public_arguments(trainer.args)
    names = ("max_steps", "num_rounds", "label_shift", "sensitivity_weight", "stop_rule")
    assert {name: by_command[name] for name in names} == {name: ran[name] for name in names}
    assert trainer.args.round_ends(ran["max_steps"]) == [480]


def test_what_was_mended_is_said(trained, saved_dataset, tmp_path, capsys):
    words = ["unlearn", "--model_name_or_path", str(trained / "original"), "--dataset_name", saved_dataset, *CPU]
    assert main([*words, "--forget_classes", "red", "--max_steps", "2", "--output_dir", str(tmp_path / "out")]) == 0
    assert "mended  6 BatchNorm layers keep their statistics" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_other_dtypes(trained, saved_dataset, tmp_path, dtype):
    words = ["unlearn", "--model_name_or_path", str(trained / "original"), "--dataset_name", saved_dataset, *CPU]
    words += ["--forget_classes", "red", "--max_steps", "2", "--num_rounds", "1", "--dtype", dtype]
    assert main([*words, "--output_dir", str(tmp_path / "out")]) == 0


def test_evaluating_again_replaces_results_of_the_same_request(unlearned, saved_dataset, tmp_path):
    words = ["evaluate", "--model", str(unlearned), "--dataset_name", saved_dataset, "--forget_classes", "red", *CPU]
    assert main([*words, "--output_dir", str(tmp_path)]) == 0
    assert main([*words, "--output_dir", str(tmp_path)]) == 0


def test_resuming_is_for_the_same_run(trained, saved_dataset, tmp_path, capsys):
    start = ["unlearn", "--dataset_name", saved_dataset, "--output_dir", str(tmp_path / "out"), *CPU]
    start += ["--model_name_or_path", str(trained / "original"), "--max_steps", "6"]
    assert main([*start, "--forget_classes", "red", "--save_strategy", "steps", "--save_steps", "3"]) == 0
    whole = (tmp_path / "out" / "model.safetensors").read_bytes()
    resume = ["--save_strategy", "steps", "--save_steps", "3", "--resume_from_checkpoint"]
    capsys.readouterr()
    assert main([*start, "--forget_classes", "blue", *resume, "true"]) == 2
    assert "with forget_request" in capsys.readouterr().err
    assert main([*start, "--forget_classes", "red", *resume, str(tmp_path / "out" / "checkpoint-3")]) == 0
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == whole


def test_a_run_that_fails_leaves_nothing_and_exits_with_1(trained, saved_dataset, tmp_path, capsys):
    words = ["unlearn", "--model_name_or_path", str(trained / "original"), "--dataset_name", saved_dataset, *CPU]
    words += ["--forget_classes", "red", "--step_rule", "optim", "--optim", "sgd", "--learning_rate", "1e30"]
    assert main([*words, "--output_dir", str(tmp_path / "out")]) == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert "ran away" in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_is_quick(command):
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "hf_unlearn.commands.main", command, "--help"], capture_output=True, text=True
    )
    flags = {"--output_dir", "--folder", "--certificate", "--request"}
    assert done.returncode == 0 and flags & set(done.stdout.split())
    # Under a second on an idle machine; importing transformers alone would take longer than this.
    assert time.monotonic() - started < 3


def test_nothing_is_imported_to_draw_where_nothing_is_drawn():
    code = (
        "import sys, hf_unlearn.commands.unlearn, hf_unlearn.publishing.card, hf_unlearn.publishing.push\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom hf_unlearn.commands.main import main\n"
        "try: main(['unlearn', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name in ('torch', 'transformers', 'datasets')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
    for flag in ("--forget_classes", "--forget_where", "--subclass_column", "--objective", "--learning_rate"):
        assert flag in done.stdout


@pytest.mark.parametrize("script", ["train", "unlearn", "evaluate_model"])
def test_scripts_serve_the_commands(script):
    path = Path(__file__).parents[2] / "scripts" / f"{script}.py"
    done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--dataset_name" in done.stdout
