"""The profile of a run counts all of its time, each stretch once."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def profile(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("profile_run")


def test_what_begins_inside_another_part_is_not_counted_twice(profile, monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(profile.time, "perf_counter", lambda: next(now))
    clock = profile.Stopwatch()
    inner = clock.around("inner", lambda: None)
    clock.around("outer", inner)()
    clock.switch("rest")
    # Four switches of the two parts and one at the end: a second each.
    assert clock.seconds == {"rest": 2, "outer": 2, "inner": 1}
    with pytest.raises(ZeroDivisionError):
        clock.around("broken", lambda: 1 / 0)()
    assert clock.seconds["broken"] == 1


@pytest.mark.slow
def test_a_whole_run(tmp_path, saved_model, saved_dataset):
    words = ["--model_name_or_path", saved_model(), "--dataset_name", saved_dataset, "--forget_classes", "red"]
    words += ["--max_steps", "2", "--use_cpu", "--output_dir", str(tmp_path / "out")]
    started = time.monotonic()
    script = str(ROOT / "scripts" / "profile_run.py")
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, cwd=ROOT)
    took = time.monotonic() - started
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if re.search(r"[\d.]+ s +[\d.]+ %$", line)]
    total = sum(float(line[40:48]) for line in lines)
    assert any(line.startswith("forward and backward") for line in lines) and 0.5 * took < total <= took
