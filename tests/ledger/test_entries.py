"""The ledger's file: what a kill at any byte leaves, what a changed byte breaks, and several writers at once."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError
from hf_unlearn.ledger.entries import NOTHING, Ledger

WRITER = """
import sys
from hf_unlearn.ledger.entries import Ledger
ledger = Ledger(sys.argv[1])
for number in range(int(sys.argv[3])):
    with ledger.locked():
        entry = ledger.append("added", {"text": "ü" * 50, "place": number}, sys.argv[2])
    print(entry["digest"], flush=True)
"""


def written(folder, count=4):
    ledger = Ledger(folder)
    with ledger.locked():
        for place in range(count):
            ledger.append("added", {"place": place, "who": "Jürgen\n"}, "me")
    return ledger


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return written(tmp_path_factory.mktemp("written")).path.read_bytes()


def over(folder, content):
    folder.mkdir(exist_ok=True)
    ledger = Ledger(folder)
    ledger.path.write_bytes(content)
    return ledger


def test_each_entry_follows_the_one_before_and_nobody_else_may_read_them(tmp_path):
    ledger = written(tmp_path / "new" / "folder")
    entries = ledger.read()
    assert [each["number"] for each in entries] == [1, 2, 3, 4]
    assert [each["previous"] for each in entries] == [NOTHING, *(each["digest"] for each in entries[:-1])]
    assert entries[2]["what"] == {"place": 2, "who": "Jürgen\n"} and entries[2]["operator"] == "me"
    assert len({each["salt"] for each in entries}) == 4
    assert stat.S_IMODE(os.stat(ledger.path).st_mode) == 0o600


@settings(max_examples=60)
@given(st.data())
def test_a_kill_at_any_byte_leaves_the_whole_entries_and_the_next_one_follows(tmp_path_factory, content, data):
    cut = data.draw(st.integers(0, len(content)))
    ledger = over(tmp_path_factory.mktemp("cut"), content[:cut])
    whole = content[:cut].count(b"\n")
    assert [each["what"]["place"] for each in ledger.read()] == [*range(whole)]
    with ledger.locked():
        ledger.append("added", {"place": "next"}, "me")
    assert [each["what"]["place"] for each in ledger.read()] == [*range(whole), "next"]
    assert ledger.path.read_bytes()[: content[:cut].rfind(b"\n") + 1] == content[: content[:cut].rfind(b"\n") + 1]


@settings(max_examples=100)
@given(st.data())
def test_any_changed_byte_breaks_the_chain_and_the_message_says_where(tmp_path_factory, content, data):
    place = data.draw(st.integers(0, len(content) - 1) | st.just(len(content) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    ledger = over(tmp_path_factory.mktemp("changed"), content[:place] + bytes([other]) + content[place + 1 :])
    line = content[:place].count(b"\n") + 1
    with pytest.raises(UnlearningError, match=f"is broken at line {line}: "):
        ledger.read()
    with ledger.locked(), pytest.raises(UnlearningError, match="broken at line"):
        ledger.append("added", {}, "me")


@pytest.mark.parametrize(
    ("order", "line"), [((0, 2, 3), 2), ((1, 2, 3), 1), ((0, 2, 1, 3), 2), ((0, 1, 1, 2, 3), 3), ((0, 1, 3, 2), 3)]
)
def test_lines_that_are_taken_out_moved_or_repeated_are_found(tmp_path, content, order, line):
    lines = content.splitlines(keepends=True)
    ledger = over(tmp_path, b"".join(lines[place] for place in order))
    with pytest.raises(UnlearningError, match=f"broken at line {line}: it does not follow"):
        ledger.read()


def test_a_first_line_without_its_end_is_broken_and_stays(tmp_path, content):
    """Somebody changed it: a writer that was killed leaves less than the whole of it."""
    changed = content.splitlines(keepends=True)[0][:-1] + b"x"
    ledger = over(tmp_path, changed)
    with ledger.locked(), pytest.raises(UnlearningError, match="broken at line 1: it has no end"):
        ledger.append("added", {}, "me")
    assert ledger.path.read_bytes() == changed


def writer(folder, name, count, **how):
    words = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **how)


def test_several_writers_at_once_are_kept_apart(tmp_path):
    writers = [writer(tmp_path, name, 15) for name in "ab"]
    assert [each.wait(60) for each in writers] == [0, 0]
    entries = Ledger(tmp_path).read()
    for name in "ab":
        assert [each["what"]["place"] for each in entries if each["operator"] == name] == [*range(15)]


def test_what_a_killed_writer_was_told_is_kept(tmp_path):
    process = writer(tmp_path, "a", 10**6)
    told = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait(60)
    digests = [each["digest"] for each in Ledger(tmp_path).read()]
    # One more may have been written than said.
    assert digests[: len(told)] == told and len(digests) <= len(told) + 1


def test_no_ledger_and_one_that_cannot_be_made(tmp_path):
    with pytest.raises(UnlearningError, match="holds no requests.jsonl; expected one that hf-unlearn requests add"):
        Ledger(tmp_path).read()
    (tmp_path / "file").write_text("")
    with pytest.raises(UnlearningError, match="cannot be written"), Ledger(tmp_path / "file").locked():
        pass


def test_only_one_runs_at_a_time(tmp_path):
    with Ledger(tmp_path).running():
        with pytest.raises(UnlearningError, match="another process runs"), Ledger(tmp_path).running():
            pass
        written(tmp_path, 1)
    with Ledger(tmp_path).running():
        assert len(Ledger(tmp_path).read()) == 1
