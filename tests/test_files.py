"""What is written is whole, or as it was."""

from __future__ import annotations

import pytest

from hf_unlearn.errors import one_line
from hf_unlearn.files import replacing, write_json, write_text


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
