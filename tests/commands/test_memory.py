"""Freed memory is kept where the C library can be told so."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from hf_unlearn.commands.main import main
from hf_unlearn.commands.memory import keep_freed_memory
from tests.trainers.methods.test_mu_mis import make_trainer

FAULTS = """
import resource, sys, torch
from hf_unlearn.commands.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**23).mul(2.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_the_next_step_finds_the_memory_of_the_last_one():
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=unset, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 10, f"{after} page faults, {before} before"


def test_what_the_user_set_stays(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("the C library was asked"))
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert keep_freed_memory() is False


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_freed_memory() is False


def test_the_library_changes_nothing_and_the_command_does(saved_model, saved_dataset, tmp_path, monkeypatch):
    asked = []
    mallopt = SimpleNamespace(mallopt=lambda *args: asked.append(args) or 1)
    loaded = ctypes.CDLL
    monkeypatch.setattr("ctypes.CDLL", lambda name, *args, **kwargs: loaded(name, *args, **kwargs) if name else mallopt)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    make_trainer(tmp_path, max_steps=1).train()
    assert not asked, "a process belongs to who started it"
    words = ["unlearn", "--model_name_or_path", saved_model("vit"), "--dataset_name", saved_dataset, "--use_cpu"]
    assert main([*words, "--forget_classes", "red", "--max_steps", "1", "--output_dir", str(tmp_path / "out")]) == 0
    assert len(asked) == 2
