from __future__ import annotations

import json

import numpy as np
import pytest

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.indices import as_index_tuple, check_range, read_indices


def test_all_file_kinds_give_the_same_indices(tmp_path):
    (tmp_path / "a.txt").write_text("5\n\n 2 \n9\n")
    (tmp_path / "a.json").write_text("[5, 2, 9]")
    np.save(tmp_path / "a.npy", np.array([5, 2, 9]))
    for extension in ("txt", "json", "npy"):
        assert read_indices(str(tmp_path / f"a.{extension}")) == (5, 2, 9)


@pytest.mark.parametrize("value", [1.0, True, "1", None, np.float64(1)])
def test_indices_are_integers(value):
    with pytest.raises(UnlearningError, match="forget index .* is not an integer"):
        as_index_tuple([0, value])


def test_indices_are_not_repeated():
    with pytest.raises(UnlearningError, match="forget index 4 is given more than once"):
        as_index_tuple([4, 1, 4])


@pytest.mark.parametrize("index", [-1, 10, 2**70])
def test_indices_are_in_range(index):
    with pytest.raises(UnlearningError, match=rf"forget index {index} is out of range: .* 10 samples, 0 to 9"):
        check_range((3, index), 10)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"1\n2.5\n", "forget index '2.5' is not an integer"),
        ("a.txt", b"1\n1\n", "given more than once"),
        ("a.txt", b"\xff\xfe\xff", "cannot be read"),
        ("a.json", json.dumps([1, 2.0]).encode(), "forget index 2.0 is not an integer"),
        ("a.json", json.dumps([1, True]).encode(), "forget index True is not an integer"),
        ("a.json", json.dumps({"1": 2}).encode(), "does not hold a list"),
        ("a.json", b"[1, ", "cannot be read"),
        ("a.npy", b"not numpy", "cannot be read"),
        ("a.npy", b"", "cannot be read"),
        ("a.csv", b"1\n", r"unknown extension; there are: \.txt, \.json, \.npy"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnlearningError, match=message) as caught:
        read_indices(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("array", [np.array([1.0]), np.array([[1]]), np.array([True])])
def test_arrays_are_flat_and_of_integers(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UnlearningError, match="one-dimensional array of integers"):
        read_indices(str(tmp_path / "a.npy"))


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(UnlearningError, match="cannot be read"):
        read_indices(str(tmp_path / "a.npy"))


def test_missing_file(tmp_path):
    with pytest.raises(UnlearningError, match="does not exist"):
        read_indices(str(tmp_path / "a.txt"))
