"""Two real processes against one: the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.record import read_record

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


def same_run(tmp_path, model_type, objective, layouts, samples, *further):
    """Runs in layouts (processes, batch, accumulation) with equal products end alike."""
    settings = ("--model", model_type, "--objective", objective, "--samples", str(samples), "--steps", "7", *further)
    runs = []
    for number, (processes, batch, accumulation) in enumerate(layouts):
        layout = ("--batch", str(batch), "--accumulation", str(accumulation))
        runs.append(launch(processes, *settings, *layout, "--out", str(tmp_path / f"{number}.json")))
    assert [run["num_processes"] for run in runs] == [processes for processes, _, _ in layouts]
    one = runs[0]
    for other in runs[1:]:
        assert other["steps"] == one["steps"] and other["reason"] == one["reason"]
        assert len(one["gradients"]) == one["steps"] and min(one["gradients"]) > 0
        assert other["gradients"] == pytest.approx(one["gradients"], rel=1e-3)
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-4)
        assert other["weights"] == pytest.approx(one["weights"], rel=1e-4, abs=1e-6)
        # The weights moved: agreement is not that of two runs that did nothing.
        assert other["weights"] != pytest.approx(other["before"], rel=1e-4, abs=1e-6)


@pytest.mark.distributed
@pytest.mark.parametrize(
    # On the paper's objective the head's bias has no gradient of its own.
    ("model_type", "objective", "layout"),
    [("resnet", "matched", (2, 4, 1)), ("vit", "matched", (2, 2, 2)), ("resnet", "difference", (2, 4, 1))],
)
def test_two_processes_make_the_run_of_one(tmp_path, model_type, objective, layout):
    # Twenty-one samples in steps of eight: the last step of a pass has five, three in one process, two in the other.
    same_run(tmp_path, model_type, objective, [(1, 8, 1), layout], samples=21)


@pytest.mark.distributed
def test_what_does_not_fill_a_step_is_left_out_by_two_processes_as_by_one(tmp_path):
    same_run(tmp_path, "resnet", "matched", [(1, 8, 1), (2, 4, 1)], 21, "--drop_last")


@pytest.mark.distributed
def test_what_siblings_teach_is_the_same_for_both_processes(tmp_path):
    further = ("--kind", "subclass", "--references", "40")
    same_run(tmp_path, "resnet", "matched", [(1, 8, 1), (2, 4, 1)], 21, *further)


@pytest.mark.distributed
def test_two_processes_save_one_model_with_its_record(tmp_path):
    words = (
        "--model",
        "vit",
        "--objective",
        "matched",
        "--batch",
        "4",
        "--steps",
        "2",
        "--save",
        str(tmp_path / "out"),
    )
    ran = launch(2, *words, "--out", str(tmp_path / "ran.json"))
    record, saved = read_record(str(tmp_path / "out")), load_image_classifier(tmp_path / "out")
    assert ran["num_processes"] == 2 and record["steps"] == 2 and not record["in_progress"]
    assert weights_digest(saved) == record["weights_sha256"]["unlearned"] != record["weights_sha256"]["original"]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("model_type", ["resnet", "vit"])
@pytest.mark.parametrize("samples", [21, 17, 24])
def test_all_layouts_make_the_same_run(tmp_path, model_type, samples):
    # With seventeen samples three of four processes have none in the last step of a pass.
    layouts = [(1, 8, 1), (1, 2, 4), (2, 4, 1), (2, 1, 4), (4, 2, 1), (4, 1, 2)]
    same_run(tmp_path, model_type, "matched", layouts, samples)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_make_the_run_of_one_with_retained_samples(tmp_path):
    worker = WORKER.with_name("methods_worker.py")
    one = launch(1, "--batch", "8", "--out", str(tmp_path / "one.json"), worker=worker)
    two = launch(2, "--batch", "4", "--out", str(tmp_path / "two.json"), worker=worker)
    assert (one["num_processes"], two["num_processes"]) == (1, 2)
    for method in ("scrub", "salun", "amun", "lotus", "ssd"):
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


@pytest.mark.distributed
def test_two_processes_compare_as_one_does_without_a_cache(tmp_path, saved_dataset, saved_model, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    worker = WORKER.with_name("compare_worker.py")
    words = [saved_model("vit"), saved_model(), saved_dataset]
    runs = [launch(number, *words, "--out", str(tmp_path / f"{number}.json"), worker=worker) for number in (1, 2)]
    assert [run["num_processes"] for run in runs] == [1, 2]
    assert runs[0]["report"] == runs[1]["report"] and runs[0]["report"]["counts"]["retain"] == 36
    assert [run["left"] for run in runs] == [[], []]
