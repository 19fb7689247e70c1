from __future__ import annotations

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.labels import encode_labels, label_array, label_names, match_labels, resolve_classes

NAMES = ["T-shirt/top", "Ankle boot", "Bag"]


@given(st.permutations(range(6)), st.integers(1, 6))
def test_labels_are_matched_by_name_whatever_the_order(order, num_known):
    names = [f"class {position}" for position in range(num_known)]
    label2id = {f"class {label}": position for position, label in enumerate(order)}
    matched = match_labels(names, label2id)
    assert [order[position] for position in matched] == list(range(num_known))


def test_case_and_separators_do_not_matter():
    assert match_labels(NAMES, {"bag": 0, "ankle_boot": 1, "T Shirt/Top": 2}) == [2, 1, 0]


def test_an_exact_name_comes_before_a_similar_one():
    assert match_labels(["Bag", "hat"], {"bag": 0, "Bag": 1, "hat": 2}) == [1, 2]


def test_generic_labels_are_taken_in_order():
    generic = {f"LABEL_{position}": position for position in range(4)}
    assert match_labels(NAMES, generic) == [0, 1, 2]


def test_a_dataset_may_use_generic_names_itself():
    assert match_labels(["LABEL_1", "LABEL_0"], {"LABEL_0": 0, "LABEL_1": 1}) == [1, 0]


@pytest.mark.parametrize(
    ("names", "label2id", "message"),
    [
        (NAMES, {"Bag": 0, "hat": 1}, "lacks the labels 'T-shirt/top', 'Ankle boot'; it has: 'Bag', 'hat'"),
        (NAMES, {"LABEL_0": 0, "LABEL_1": 1}, "the dataset has 3 labels, the model only 2"),
        (NAMES, {"LABEL_0": 0}, "the model has 1 label"),
        (NAMES, {}, "the model has 0 label"),
        (["BAG"], {"bag": 0, "Bag": 1}, "'BAG' could be any of the model's labels 'bag', 'Bag'"),
        (["BAG", "bag"], {"Bag": 0, "hat": 1}, "'BAG' and 'bag' both match the model's label 'Bag'"),
    ],
)
def test_labels_that_do_not_match(names, label2id, message):
    with pytest.raises(UnlearningError, match=message):
        match_labels(names, label2id)


def strings(*values: str | None) -> Dataset:
    return Dataset.from_dict({"kind": list(values)}, features=Features({"kind": Value("string")}))


def test_strings_and_integers_have_names():
    assert label_names(strings("owl", "cat", "owl"), "kind") == ["cat", "owl"]
    assert label_names(strings("owl"), "kind", strings("ant")) == ["ant", "owl"]
    assert label_names(Dataset.from_dict({"kind": [3, 0]}), "kind") == ["0", "1", "2", "3"]


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
        (Dataset.from_dict({"kind": [10**6]}), "values up to 1000000: these are not class ids"),
        (Dataset.from_dict({"kind": [0.5]}), "does not hold class labels, strings or integers"),
    ],
)
def test_rows_without_a_class(dataset, message):
    with pytest.raises(UnlearningError, match=message):
        label_array(dataset, "kind")


def test_classes_by_name_or_id():
    assert resolve_classes(["Bag", 0, "1"], NAMES) == [0, 1, 2]
    assert resolve_classes(["1", 1], ["2", "1", "0"]) == [1]
    assert resolve_classes(["2"], ["2", "1", "0"]) == [0]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("Bga", "forget class 'Bga' is not a label of this dataset; did you mean 'Bag'"),
        ("zzz", "there are: 'T-shirt/top', 'Ankle boot', 'Bag'"),
        (3, "its ids are 0 to 2"),
        (-1, "its ids are 0 to 2"),
        ("7", "its ids are 0 to 2"),
    ],
)
def test_unknown_classes(wanted, message):
    with pytest.raises(UnlearningError, match=message):
        resolve_classes([wanted], NAMES)
