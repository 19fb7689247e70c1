"""`--num_processes`: several processes by one flag, and errors as clear as with one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "hf_unlearn" / "accelerate_configs"


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "hf_unlearn.commands.main", "unlearn", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.fixture
def words(saved_model, saved_dataset):
    given = ["--model_name_or_path", saved_model(), "--dataset_name", saved_dataset, "--use_cpu"]
    return [*given, "--forget_classes", "red", "--max_steps", "4", "--num_rounds", "1"]


@pytest.mark.distributed
def test_two_processes_by_one_flag(words, tmp_path):
    for number, batch in ((1, 6), (2, 3)):
        flags = ["--num_processes", str(number), "--per_device_train_batch_size", str(batch)]
        done = run(*words, *flags, "--output_dir", str(tmp_path / str(number)))
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("Forgot the class 'red'") == 1, "one process speaks"
    one, two = (load_file(str(tmp_path / name / "model.safetensors")) for name in ("1", "2"))
    for name, weight in one.items():
        assert_close(two[name], weight, rtol=1e-4, atol=1e-6)
    # In both the record says how large a batch a process had.
    settings = [json.loads((tmp_path / name / "unlearning.json").read_text())["settings"] for name in ("1", "2")]
    assert [each["per_device_train_batch_size"] for each in settings] == [6, 3]


@pytest.mark.distributed
def test_an_error_is_one_line_and_status_2(words, tmp_path):
    words[words.index("red")] = "rad"
    done = run(*words, "--num_processes", "2", "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    (line,) = done.stderr.strip().splitlines()
    assert "did you mean 'red'" in line


def test_no_process_is_refused(words, tmp_path):
    done = run(*words, "--num_processes", "0", "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 2 and "num_processes is 0; expected at least 1" in done.stderr


@pytest.mark.slow
@pytest.mark.distributed
def test_the_packaged_configuration_starts_two(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / "cpu.yaml")]
    worker = [str(ROOT / "tests" / "distributed" / "worker.py"), "--model", "resnet", "--objective", "matched"]
    flags = ["--batch", "4", "--steps", "2", "--out", str(tmp_path / "out.json")]
    done = subprocess.run([*launch, *worker, *flags], cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "out.json").read_text())["num_processes"] == 2
