"""What is written is whole, or as it was."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from hf_unlearn.errors import one_line
from hf_unlearn.files import replacing, replacing_files, write_json, write_text


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path):
    path = tmp_path / "record.json"
    write_json({"a": 1}, path)
    before = path.read_bytes()
    with pytest.raises(ValueError):
        write_json({"a": float("nan")}, path)
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        with open(part, "w") as file:
            file.write("half")
        raise KeyboardInterrupt
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("write", [replacing, replacing_files])
def test_a_full_disk_is_told_with_what_was_to_be_written(tmp_path, write):
    with pytest.raises(OSError, match=r"No space left on device: .*there"), write(tmp_path / "there"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=r"No such file or directory: 'elsewhere'"), write(tmp_path / "there"):
        os.stat("elsewhere")


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "record.json"
    with replacing(path) as first:
        with open(first, "w") as file:
            file.write("first")
        with replacing(path) as second, open(second, "w") as file:
            file.write("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first" and [each.name for each in tmp_path.iterdir()] == ["record.json"]


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path):
    write_text("folder \udcff", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == "folder ?"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", "ValueError"),
        (" \n", "ValueError"),
        ("wrong field:\n    depths is text\n", "wrong field: depths is text"),
        ("word " * 100, "word " * 59 + "..."),
    ],
)
def test_an_error_of_many_lines_is_told_in_one(said, line):
    assert one_line(ValueError(said)) == line


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"old {name}")


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_take_their_place_together(tmp_path):
    fill(tmp_path, "model.bin", "thesis.txt", "plots/a.png", "config.json")
    with replacing_files(tmp_path, lambda name: name in ("model.bin", "plots/a.png", "config.json")) as aside:
        before = names_in(tmp_path)
        Path(aside, "plots").mkdir()
        Path(aside, "plots", "b.png").write_text("new")
        Path(aside, "config.json").write_text("new")
        assert set(before) <= set(names_in(tmp_path)), "nothing goes before all is there"
    assert names_in(tmp_path) == ["config.json", "plots/b.png", "thesis.txt"]
    assert (tmp_path / "config.json").read_text() == "new"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_files_that_are_not_whole_leave_all_as_it_was(tmp_path, error):
    fill(tmp_path, "there/model.bin")
    for folder, left in (("there", ["model.bin"]), ("new", None)):
        with pytest.raises(error), replacing_files(tmp_path / folder, lambda name: True) as aside:
            Path(aside, "config.json").write_text("half")
            raise error
        assert (names_in(tmp_path / folder) if (tmp_path / folder).exists() else None) == left


def test_what_a_killed_run_left_goes_with_the_next(tmp_path):
    fill(tmp_path, ".saving-abc/model.bin")
    with replacing_files(tmp_path) as aside:
        Path(aside, "a").write_text("new")
    assert names_in(tmp_path) == ["a"]


def test_an_interruption_waits_until_a_folder_is_whole(tmp_path, monkeypatch):
    """Ctrl-C between the weights and the record that describes them."""
    for name in ("config.json", "model.safetensors", "unlearning.json"):
        (tmp_path / name).write_text("old")
    real, moved = os.replace, []

    def replace(source, target):
        moved.append(target)
        real(source, target)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt), replacing_files(tmp_path) as aside:
        for name in ("config.json", "model.safetensors", "unlearning.json"):
            Path(aside, name).write_text("new")
    assert len(moved) == 3 and {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "config.json": "new",
        "model.safetensors": "new",
        "unlearning.json": "new",
    }
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
