"""Two real processes against one: the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")


def launch(processes: int, *arguments: str, worker: Path = WORKER) -> dict:
    """Run the worker in so many processes; returns what the first one wrote."""
    out = arguments[arguments.index("--out") + 1]
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", "0"]
        command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, str(worker), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(Path(out).read_text())


@pytest.mark.distributed
@pytest.mark.parametrize(
    # On the paper's objective the head's bias has no gradient of its own.
    ("model_type", "objective"),
    [("resnet", "matched"), ("vit", "matched"), ("resnet", "difference")],
)
def test_two_processes_make_the_run_of_one(tmp_path, model_type, objective):
    settings = ("--model", model_type, "--objective", objective)
    one = launch(1, *settings, "--batch", "8", "--out", str(tmp_path / "one.json"))
    two = launch(2, *settings, "--batch", "4", "--out", str(tmp_path / "two.json"))
    assert (one["num_processes"], two["num_processes"]) == (1, 2)
    assert two["steps"] == one["steps"] and two["reason"] == one["reason"]
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-4, abs=1e-6)
    # The weights moved: agreement is not that of two runs that did nothing.
    assert two["weights"] != pytest.approx(two["before"], rel=1e-4, abs=1e-6)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_make_the_run_of_one_with_retained_samples(tmp_path):
    worker = WORKER.with_name("methods_worker.py")
    one = launch(1, "--batch", "8", "--out", str(tmp_path / "one.json"), worker=worker)
    two = launch(2, "--batch", "4", "--out", str(tmp_path / "two.json"), worker=worker)
    assert (one["num_processes"], two["num_processes"]) == (1, 2)
    for method in ("scrub", "salun", "ssd"):
        assert two[method] == pytest.approx(one[method], rel=1e-4, abs=1e-6)
        assert two[method] != pytest.approx(two["before"], rel=1e-4, abs=1e-6), "it moved at all"


@pytest.mark.distributed
def test_two_processes_evaluate_as_one_does(tmp_path, saved_dataset, saved_model):
    words = ["--model", saved_model("vit"), "--original_model", saved_model(), "--dataset_name", saved_dataset]
    words += ["--forget_classes", "red", "--use_cpu", "--per_device_eval_batch_size", "5", "--level", "standard"]
    results = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        flags = ["--output_dir", str(folder), "--cache_dir", str(folder / "cache"), "--out", str(folder / "count.json")]
        counted = launch(processes, *words, *flags, worker=WORKER.with_name("evaluate_worker.py"))
        assert counted == {"num_processes": processes}
        results.append(json.loads((folder / "results.json").read_text()))
    assert results[0] == results[1]
