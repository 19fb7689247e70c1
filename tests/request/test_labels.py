from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.labels import class_codes, classes_gone, encode_labels, label_array, label_names, label_values


def strings(*values: str | None) -> Dataset:
    return Dataset.from_dict({"kind": list(values)}, features=Features({"kind": Value("string")}))


def numbers(values, dtype: str) -> Dataset:
    return Dataset.from_dict({"kind": values}, features=Features({"kind": Value(dtype)}))


def test_strings_have_names():
    assert label_names(strings("owl", "cat", "owl"), "kind") == ["cat", "owl"]
    assert label_names(strings("owl"), "kind", strings("ant")) == ["ant", "owl"]
    assert label_values(strings("owl"), "kind", ["owl"]) is None


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.sampled_from(["int64", "uint32", "float64", "int32"])
)
def test_integers_with_gaps_or_another_start_are_their_own_names(values, dtype):
    dataset = numbers(values, dtype)
    names = label_names(dataset, "kind")
    assert names == [str(value) for value in sorted(set(values))]
    assert label_values(dataset, "kind", names) == tuple(sorted(set(values)))
    assert [int(names[label]) for label in label_array(dataset, "kind")] == values
    encoded = encode_labels(dataset, "kind", names)
    assert encoded.features["kind"].names == names
    assert label_array(encoded, "kind").tolist() == label_array(dataset, "kind").tolist()


def test_integers_of_all_splits_are_sorted_as_numbers():
    assert label_names(numbers([3, 11], "int64"), "kind", numbers([2], "int64")) == ["2", "3", "11"]


def test_booleans_are_two_classes():
    dataset = numbers([True, True], "bool")
    assert label_names(dataset, "kind") == ["False", "True"]
    assert label_values(dataset, "kind", ["False", "True"]) == (0, 1)
    assert label_array(dataset, "kind").tolist() == [1, 1]


def test_a_name_in_another_normal_form_is_the_same_class():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    codes, names = class_codes(strings(composed, decomposed, "tea"), "kind")
    assert names == [composed, "tea"] and codes.tolist() == [0, 0, 1]
    folders = Features({"kind": ClassLabel(names=[decomposed, "tea"])})
    encoded = encode_labels(Dataset.from_dict({"kind": [1, 0]}, features=folders), "kind", [composed, "tea"])
    assert encoded.features["kind"].names == [composed, "tea"]
    assert label_array(encoded, "kind").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("own_names", "codes"),
    [(["a", "b", "c"], [0, 2, 1]), (["c", "a", "b"], [1, 0, 2]), (["c", "b", "a"], [2, 0, 1])],
)
def test_encoding_matches_by_name(own_names, codes):
    features = Features({"kind": ClassLabel(names=own_names)})
    encoded = encode_labels(Dataset.from_dict({"kind": codes}, features=features), "kind", ["a", "b", "c"])
    assert encoded.features["kind"].names == ["a", "b", "c"]
    assert label_array(encoded, "kind").tolist() == [0, 2, 1]
    as_strings = encode_labels(strings("a", "c", "b"), "kind", ["a", "b", "c"])
    assert label_array(as_strings, "kind").tolist() == [0, 2, 1]


def test_encoding_an_unknown_label():
    with pytest.raises(UnlearningError, match="label 'owls' of the test .* did you mean 'owl'"):
        encode_labels(strings("owls"), "kind", ["cat", "owl"], "the test split")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (strings("a", None), "row 1 of the dataset has no value in column 'kind'"),
        (
            Dataset.from_dict({"kind": [0, -1]}),
            "row 1 of the dataset has no class: column 'kind' is -1 there",
        ),
        (numbers(range(100_001), "int64"), "has 100001 different values: these are not classes"),
        (numbers([1.0, 0.5], "float64"), "row 1 of the dataset has 0.5 in column 'kind'; expected .* whole numbers"),
        (numbers([np.inf], "float64"), "row 0 of the dataset has inf"),
        (Dataset.from_dict({"kind": [[1]]}), "does not hold class labels, strings or integers"),
    ],
)
def test_rows_without_a_class(dataset, message):
    with pytest.raises(UnlearningError, match=message):
        label_array(dataset, "kind")


@given(
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=5), left=st.lists(st.integers(0, 9), min_size=5, max_size=5)
)
def test_a_class_of_which_next_to_nothing_is_left_is_gone(sizes, left):
    forget = np.repeat(np.arange(len(sizes)), sizes)
    retain = np.repeat(np.arange(5), left)
    expected = [
        label
        for label, size in enumerate(sizes)
        if not left[label] or (left[label] <= 3 and left[label] <= 0.1 * (size + left[label]))
    ]
    assert classes_gone(forget, retain).tolist() == expected
