"""Around a command: signals, output that cannot be shown, errors of the machine."""

from __future__ import annotations

import importlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tomllib

from hf_unlearn.commands import launching
from hf_unlearn.commands.main import COMMANDS, main, run
from hf_unlearn.commands.parsing import say
from hf_unlearn.errors import DivergenceError, PublishingError, UnlearningError

ROOT = Path(__file__).parents[2]


def raising(error):
    def function(argv):
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UnlearningError("a\nb"), 2, "error: a b"),
        (DivergenceError("ran away"), 1, "error: ran away"),
        (PublishingError("no Hub"), 1, "error: no Hub"),
        (OSError(28, "No space left on device", "file"), 2, "error: [Errno 28] No space left on device: 'file'"),
        (MemoryError(), 2, "error: out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_and_a_status(capsys, error, status, said):
    assert run("unlearn", raising(error), []) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"hf-unlearn unlearn: {said}")


def test_memory_of_a_gpu_is_memory():
    import torch

    assert run("unlearn", raising(torch.OutOfMemoryError("CUDA out of memory")), []) == 2
    with pytest.raises(RuntimeError):
        run("unlearn", raising(RuntimeError("a bug")), [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_on_its_way_out(capsys, number):
    before = signal.getsignal(number)
    done = []

    def function(argv):
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            done.append("tidied up")

    assert run("unlearn", function, []) == 128 + number and done
    assert f"ended by {number.name}" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("unlearn", lambda argv: os.kill(os.getpid(), signal.SIGHUP), []) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_an_interruption_while_libraries_are_loaded(monkeypatch, capsys, command):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert main([command]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_cannot_be_shown_is_replaced(monkeypatch, encoding):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    command = type("command", (), {"main": lambda argv: say("↓ 1 ± 2 – é 猫 \udcff")})
    monkeypatch.setattr(importlib, "import_module", lambda name: command)
    assert main(["evaluate"]) == 0
    expected = {"ascii": "v 1 +- 2 - ? ? ?", "cp1252": "v 1 +- 2 - é ? ?", "utf-8": "↓ 1 ± 2 – é 猫 ?"}
    assert written.getvalue().decode(encoding).strip() == expected[encoding]


def test_processes_are_given_time_to_tidy_up(tmp_path):
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_): pathlib.Path(sys.argv[1]).write_text('tidied up'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    processes = []

    def start(words, env):
        words = [sys.executable, "-c", code, str(tmp_path / env["RANK"])]
        processes.append(real(words, env=env, stdout=subprocess.PIPE))
        return processes[-1]

    real = subprocess.Popen
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(launching.subprocess, "Popen", start)

            def kill_when_ready():
                while len(processes) < 2:
                    time.sleep(0.01)
                for process in processes:
                    process.stdout.readline()
                os.kill(os.getpid(), signal.SIGTERM)

            thread = threading.Thread(target=kill_when_ready)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                launching.launch("unlearn", [], 2)
            thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["tidied up"] * 2


INTERRUPTED_AT = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["hf-unlearn", "unlearn", "--model_name_or_path", "x", "--dataset_name", "y"]
from hf_unlearn.commands.entry import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module",
    # Those that the command itself needs, and of the libraries.
    ["hf_unlearn.commands.main", "argparse", "hf_unlearn.commands.terminal", "hf_unlearn.commands.unlearn", "torch"],
)
def test_an_interruption_during_imports_is_one_line(module):
    code = INTERRUPTED_AT.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 128 + signal.SIGINT
    (line,) = done.stderr.splitlines()
    assert line.startswith("hf-unlearn") and line.endswith("interrupted")


def test_the_installed_command_begins_there():
    (entry,) = [each for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()]
    assert entry == ("hf-unlearn", "hf_unlearn.commands.entry:main")
    # So that nothing comes before.
    code = "import sys, hf_unlearn.commands; before = set(sys.modules); import hf_unlearn.commands.entry as entry"
    code += "; print(sorted(set(sys.modules) - before - {entry.__name__}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() in ("[]", "['signal']")


def test_an_interruption_that_is_ignored_stays_so():
    code = INTERRUPTED_AT.format(module="hf_unlearn.commands.main")
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + code.replace('"unlearn", ', '"--version", ')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and done.stdout.startswith("hf-unlearn ")
