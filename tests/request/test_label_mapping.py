from __future__ import annotations

import json

import numpy as np
import pytest

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.label_mapping import as_label_mapping


def test_what_can_be_given(tmp_path):
    mapping = {"n01440764": "tench, Tinca tinca", "n02012849": 134}
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(mapping), encoding="utf-8-sig")
    assert as_label_mapping(file) == as_label_mapping(str(file)) == as_label_mapping(mapping) == mapping
    assert as_label_mapping(json.dumps(mapping)) == mapping
    assert as_label_mapping({np.int64(3): np.int64(1)}) == {3: 1}
    assert [as_label_mapping(given) for given in (None, "order", "id")] == [None, "order", "id"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a list; expected an object"),
        ("3", "holds a int"),
        ("{}", "label_mapping is empty"),
        ('{"a": 1, "a": 2}', "gives the label 'a' more than once"),
        ('{"a": null}', "the target of 'a' is None; expected a name or an integer id"),
        ('{"a": 1.5}', "the target of 'a' is 1.5"),
        ('{"a": true}', "the target of 'a' is True"),
        ('{"a": ["b"]}', "the target of 'a' is "),
        ("\xff", "cannot be read .it is not UTF-8 text"),
    ],
)
def test_bad_files(tmp_path, text, message):
    file = tmp_path / "labels.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnlearningError, match=message) as caught:
        as_label_mapping(file)
    assert "\n" not in str(caught.value)


def test_no_such_file_and_no_mapping(tmp_path):
    with pytest.raises(UnlearningError, match="No such file or directory.*expected a JSON file, 'order' or 'id'"):
        as_label_mapping(tmp_path / "none.json")
    with pytest.raises(UnlearningError, match="label_mapping is not JSON"):
        as_label_mapping("{a: b}")
    with pytest.raises(UnlearningError, match="cannot be read"):
        as_label_mapping("a\0b")
    with pytest.raises(UnlearningError, match="is not a mapping of dataset labels to model labels"):
        as_label_mapping(["a"])
