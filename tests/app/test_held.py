"""Folders that are gone even after a process that was killed, and not before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import pytest

from hf_unlearn.app import held as held_folders
from hf_unlearn.app import session as sessions
from hf_unlearn.app.held import LOCK_NAME, HeldFolder, clear_left
from hf_unlearn.app.session import UNFINISHED, Session, clear_what_is_left

HOLDS = """
import sys, time
from hf_unlearn.app.held import HeldFolder
held = HeldFolder(sys.argv[1], "x-")
open(held.path + "/weights", "w").close()
print(held.path, flush=True)
time.sleep(300)
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        path = process.stdout.readline().strip()
        assert os.path.isfile(os.path.join(path, "weights"))
        clear_left(str(tmp_path), "x-")
        assert sorted(os.listdir(path)) == [LOCK_NAME, "weights"]
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert os.path.isdir(path)
    clear_left(str(tmp_path), "y-")
    assert os.path.isdir(path), "it is another's by its name"
    clear_left(str(tmp_path), "x-")
    assert os.listdir(tmp_path) == []


def test_nothing_else_goes(tmp_path):
    """A folder without a lock, a file, and what a link leads to."""
    (tmp_path / "x-1").mkdir()
    (tmp_path / "x-2").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / LOCK_NAME).touch()
    os.symlink(tmp_path / "mine", tmp_path / "x-3")
    (tmp_path / "x-4").mkdir()
    os.symlink(tmp_path / "mine" / LOCK_NAME, tmp_path / "x-4" / LOCK_NAME)
    held = HeldFolder(str(tmp_path), "x-")
    before = sorted(os.listdir(tmp_path))
    clear_left(str(tmp_path), "x-")
    assert sorted(os.listdir(tmp_path)) == before
    assert os.path.isfile(tmp_path / "mine" / LOCK_NAME)
    # By another thread than the one that made it, and twice.
    closes = threading.Thread(target=held.close)
    closes.start()
    closes.join(60)
    held.close()
    assert not os.path.exists(held.path)
    clear_left(str(tmp_path / "none"), "x-")


def test_one_that_goes_meanwhile_keeps_none_of_the_others(tmp_path, monkeypatch):
    """Another page that starts clears, too."""
    left = [HeldFolder(str(tmp_path), "x-") for _ in range(3)]
    for each in left:
        each._lock.release()
    with os.scandir(tmp_path) as found:
        order = [each.name for each in found]
    is_ours = held_folders._is_ours

    def seen(entry):
        if entry.name == order[0]:
            shutil.rmtree(entry.path)
        return is_ours(entry)

    monkeypatch.setattr(held_folders, "_is_ours", seen)
    clear_left(str(tmp_path), "x-")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def killed(monkeypatch):
    """From now on sessions are as after a kill: their locks are free, and their folders there."""

    class Killed(HeldFolder):
        def __init__(self, *args):
            super().__init__(*args)
            self._lock.release()

        def close(self):
            """It was not."""

    monkeypatch.setattr(sessions, "HeldFolder", Killed)


def test_the_next_page_removes_unfinished_work_and_uploads(options, form, killed, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    session = Session(options)
    assert session.plan(form).wait(120) and session.is_planned
    assert len(os.listdir(temporary)) == 1 and os.listdir(options.output_dir) == [UNFINISHED]
    clear_what_is_left(options.output_dir)
    assert (os.listdir(temporary), os.listdir(options.output_dir)) == ([], [])


def test_it_is_removed_when_a_page_starts(options, monkeypatch):
    pytest.importorskip("gradio", reason="Gradio is not installed (the extra app)")
    from hf_unlearn.app import server

    unfinished = os.path.join(options.output_dir, UNFINISHED)
    uploads = HeldFolder(tempfile.gettempdir(), server.OF_PAGE)
    left = [HeldFolder(unfinished), uploads]
    at_work = HeldFolder(unfinished)
    for each in left:
        each._lock.release()
    with server.served(options):
        assert [os.path.exists(each.path) for each in (*left, at_work)] == [False, False, True]
    at_work.close()
