from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.forget_request import KINDS, ForgetRequest, parse_where

EXAMPLES: dict[str, dict[str, Any]] = {
    "class": {"classes": ("rocket", 3)},
    "subclass": {"subclasses": ("tabby",), "subclass_column": "fine"},
    "fraction": {"fraction": 0.05, "seed": 7},
    "count": {"count": 500, "stratify": True},
    "indices": {"indices": (777123, 888456)},
    "where": {"where": {"owner": ("person-42",)}},
    "dataset_config": {"dataset_config": "forget10"},
    "split": {"split": "removed"},
    "samples": {"samples": "class", "classes": ("owl",)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_recognised_and_survives_json(kind):
    request = ForgetRequest(**EXAMPLES[kind])
    assert request.kind == kind
    assert ForgetRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    assert hash(request) == hash(ForgetRequest(**EXAMPLES[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_published_names_no_person_file_or_index(kind):
    request = ForgetRequest(**EXAMPLES[kind])
    for text in (json.dumps(request.public_dict()), json.dumps(request.summary()), request.describe()):
        assert "person-42" not in text
        assert "777123" not in text
    from_file = ForgetRequest(indices="/home/someone/secret.txt")
    assert "secret" not in json.dumps(from_file.public_dict()) + from_file.describe()


@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"classes": "rocket"}, "the class 'rocket'"),
        ({"classes": ["a", "b", "c"]}, "the classes 'a', 'b' and 'c'"),
        (EXAMPLES["subclass"], "the sub-class 'tabby' of column 'fine'"),
        ({"fraction": 0.05}, "a random 5 % (seed 0)"),
        ({"fraction": 0.07}, "a random 7 % (seed 0)"),
        ({"count": 1, "seed": 3}, "1 random sample (seed 3)"),
        (EXAMPLES["count"], "500 random samples (stratified, seed 0)"),
        (EXAMPLES["indices"], "2 samples given by index"),
        ({"indices": "some.npy"}, "samples given by index"),
        (EXAMPLES["where"], "the samples with given values of 'owner'"),
        (EXAMPLES["dataset_config"], "the dataset configuration 'forget10'"),
        (EXAMPLES["split"], "the split 'removed'"),
        (EXAMPLES["samples"], "the class 'owl' (by samples alone)"),
        ({"samples": "subset"}, "samples given alone (others of their classes stay)"),
    ],
)
def test_description(fields, phrase):
    assert ForgetRequest(**fields).describe() == phrase


def test_public_form_does_not_depend_on_order():
    first = ForgetRequest(classes=("a", "b")).public_dict()
    assert first == ForgetRequest(classes=("b", "a", "b")).public_dict()
    first = ForgetRequest(where={"a": ("1",), "b": ("2",)}).public_dict()
    assert first == ForgetRequest(where={"b": ("2",), "a": ("1",)}).public_dict()


def test_sequences_are_taken_in_any_form():
    assert ForgetRequest(indices=np.array([3, 1])).indices == (3, 1)  # type: ignore[arg-type]
    assert ForgetRequest(indices=Path("a.txt")).indices == "a.txt"  # type: ignore[arg-type]
    assert ForgetRequest(classes=[np.int64(2)]).classes == (2,)  # type: ignore[arg-type, list-item]
    assert ForgetRequest(classes=np.array("rocket")).classes == ("rocket",)  # type: ignore[arg-type]
    assert ForgetRequest(classes=np.array(["a", "b"])).describe() == "the classes 'a' and 'b'"  # type: ignore[arg-type]
    assert ForgetRequest(where={"id": np.array([4, 2])}).where == {"id": ("4", "2")}  # type: ignore[dict-item]


INTEGERS = st.sampled_from(["int8", "uint8", "int32", "uint32", "int64"])
FLOATS = st.sampled_from(["float16", "float32", "float64"])


@given(st.integers(1, 127), st.integers(0, 127), st.booleans(), INTEGERS, INTEGERS)
def test_numpy_integers_are_integers(count, seed, stratify, of_count, of_seed):
    plain = ForgetRequest(count=count, seed=seed, stratify=stratify)
    made = ForgetRequest(
        count=np.dtype(of_count).type(count), seed=np.dtype(of_seed).type(seed), stratify=np.bool_(stratify)
    )
    assert made == plain and json.dumps(made.public_dict()) == json.dumps(plain.public_dict())
    assert made.describe() == plain.describe()
    drawn = ForgetRequest(indices=np.array([count, seed + 200], dtype="int64"))  # type: ignore[arg-type]
    assert json.loads(json.dumps(drawn.to_dict()))["indices"] == [count, seed + 200]


@given(st.integers(1, 99), FLOATS)
def test_a_float_of_less_precision_is_the_decimal_that_was_meant(percent, dtype):
    made = ForgetRequest(fraction=np.dtype(dtype).type(percent / 100))
    assert made == ForgetRequest(fraction=percent / 100) and type(made.fraction) is float


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "nothing to forget was named; give one of: 'class', 'subclass'"),
        ({"classes": (), "where": {}}, "nothing to forget was named"),
        ({"classes": "a", "count": 3}, "only one kind .* not class and count"),
        ({"fraction": 0.5, "indices": (1,), "split": "x"}, "not fraction and indices and split"),
        ({"classes": (True,)}, "forget class True is neither a name nor an integer id"),
        ({"classes": 1.0}, "forget class 1.0 is neither"),
        ({"classes": b"a"}, "forget class b'a' is neither"),
        ({"classes": [["a"]]}, "is neither a name nor"),
        ({"count": np.float32(2.5)}, "forget count 2.5 is not an integer"),
        ({"fraction": np.int64(1)}, "forget fraction 1 is not strictly between"),
        ({"subclasses": ("tabby",)}, "needs subclass_column"),
        ({"classes": "a", "subclass_column": "fine"}, "'fine' was given without a sub-class"),
        ({"classes": "a", "stratify": True}, "stratify goes with a random fraction or count, not with class"),
        ({"count": 3, "seed": -1}, "seed -1 is not an integer of at least 0"),
        ({"count": 3, "seed": True}, "seed True is not"),
        ({"indices": ()}, "the forget set is empty"),
        ({"indices": 3}, "must be a list of integers or the path of a file, not 3"),
        ({"where": {"owner": ()}}, "no value for column 'owner'"),
        ({"where": ["owner=42"]}, "see parse_where"),
    ],
)
def test_bad_requests(fields, message):
    with pytest.raises(UnlearningError, match=message):
        ForgetRequest(**fields)


@pytest.mark.parametrize("fraction", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), True, "0.5"])
def test_fraction_is_strictly_inside_0_and_1(fraction):
    with pytest.raises(UnlearningError, match="is not strictly between 0 and 1"):
        ForgetRequest(fraction=fraction)


@pytest.mark.parametrize("count", [0, -3, 2.0, True, "4"])
def test_count_is_a_positive_integer(count):
    with pytest.raises(UnlearningError, match="is not an integer of at least 1"):
        ForgetRequest(count=count)


def test_unknown_fields_in_a_record():
    with pytest.raises(UnlearningError, match="has no 'klasses'"):
        ForgetRequest.from_dict({"klasses": ["a"]})


def test_conditions_on_one_column_are_joined():
    conditions = ["owner=42", "owner=43", "path=a=b", "note= "]
    assert parse_where(conditions) == {"owner": ("42", "43"), "path": ("a=b",), "note": (" ",)}


@pytest.mark.parametrize("condition", ["owner", "=42", ""])
def test_conditions_have_a_column_and_a_value(condition):
    with pytest.raises(UnlearningError, match="is not of the form COLUMN=VALUE"):
        parse_where([condition])


def test_samples_given_by_themselves_say_what_becomes_of_their_classes():
    request = ForgetRequest(samples="class", classes=("owl", "cat"))
    assert request.public_dict() == {"kind": "samples", "samples": "class", "classes": ["cat", "owl"]}
    for wrong in ({"samples": "all"}, {"samples": "subset", "classes": ("cat",)}, {"samples": "class", "count": 2}):
        with pytest.raises(UnlearningError):
            ForgetRequest(**wrong)
