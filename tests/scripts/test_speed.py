"""The speed benchmark runs, its ratios are of its own times, and its page says what its CSV says."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module


@pytest.fixture
def tiny(script, monkeypatch):
    speed = script("benchmark_speed")
    vit = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    monkeypatch.setitem(speed.SHAPES, "ViT-S", ("vit", {**vit, "patch_size": 8}))
    monkeypatch.setattr("hf_unlearn.trainers.base.trainer.UnlearningTrainer.least_agreement", 0.0)
    return speed


def run(speed, tmp_path, monkeypatch, *flags):
    path = tmp_path / "speed.csv"
    monkeypatch.setattr(sys, "argv", ["benchmark_speed.py", "--csv", str(path), "--models", "ViT-S", *flags])
    monkeypatch.setattr(speed, "peak_mib", lambda *args: 12.0)
    speed.main()
    return path


def test_rows_of_steps_and_scale(tiny, script, tmp_path, monkeypatch):
    sizes = ["--image_size", "16", "--image_sizes", "16", "32", "--class_counts", "10", "40"]
    more = ["--sample_counts", "8", "16", "--run_steps", "2", "--batch_size", "2", "--repeats", "2"]
    path = run(tiny, tmp_path, monkeypatch, "--parts", "steps", "scale", *sizes, *more)
    rows = script("study_defaults").read_rows(path)
    steps = [row for row in rows if row["part"] == "step"]
    assert [row["variant"] for row in steps] == list(tiny.VARIANTS)
    base = float(steps[0]["median_seconds"])
    for row in steps:
        assert float(row["ratio"]) == pytest.approx(float(row["median_seconds"]) / base, rel=0.1)
        assert float(row["low"]) <= float(row["high"])
    assert {row["part"] for row in rows} == {"step", "image size", "classes", "forget set"}
    report = script("speed_report")
    report.draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "ViT-S, 16 px" in report.table(rows) and "40: ×" in report.growth(rows)


@pytest.mark.parametrize("kind", ["ViT-S", "ResNet-18"])
def test_the_papers_step_is_the_textbooks(tiny, kind):
    model = tiny.make_model(kind, 16, 4)
    data = tiny.Noise(4, 16, 4)
    gradients = []
    for variant in ("textbook", "paper's difference"):
        step = tiny.make_step(variant, model, data, 4, False)
        if variant != "textbook":
            # The textbook's irrelevant class is the next one; here it is drawn.
            trainer = step.__closure__[[*step.__code__.co_freevars].index("trainer")].cell_contents
            trainer._draw_irrelevant = lambda labels, index, count: ((labels + 1) % count).unsqueeze(0)
        step()
        # A bias on which no sensitivity depends has no gradient in the one, and zeros in the other.
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-6)


def test_peak_memory_is_of_the_step():
    # In a process of its own: one that keeps freed memory takes it from there.
    code = (
        "import benchmark_speed as speed, torch\n"
        "before = speed.resident_peak_kib(reset=True)\n"
        "torch.ones(2**24).sum()\n"
        "print(speed.resident_peak_kib() - before, speed.resident_peak_kib(reset=True) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=True
    )
    during, after = map(int, done.stdout.split())
    assert during > 50_000 and after < 50_000


def test_parts_measured_again_take_the_place_of_their_rows_alone(script, tmp_path):
    speed = script("benchmark_speed")
    path = tmp_path / "speed.csv"
    speed.write(path, [{"part": "processes", "ratio": "1"}, {"part": "classes", "ratio": "2"}])
    speed.write(path, [{"part": "step", "ratio": "3"}])
    speed.write(path, [{"part": "processes", "ratio": "4"}])
    rows = [(row["part"], row["ratio"]) for row in script("study_defaults").read_rows(path)]
    assert rows == [("step", "3"), ("classes", "2"), ("processes", "4")]


def test_the_page_says_what_the_committed_csv_says(script):
    report = script("speed_report")
    rows = script("study_defaults").read_rows(report.CSV)
    assert {row["model"] for row in rows} >= {"ResNet-18", "ResNet-50", "ViT-S", "ViT-B"}
    assert report.PART.holds(report.body(rows))
