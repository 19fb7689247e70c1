"""Splits with rows that have no label, as people have them: withheld test labels, half-labelled training sets."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError, warn_once
from hf_unlearn.request.forget_request import ForgetRequest
from hf_unlearn.request.forget_set import forget_splits
from hf_unlearn.request.labels import has_label
from hf_unlearn.request.splits import make_splits
from tests.request.conftest import ANIMALS, make_split

CATS = ForgetRequest(classes="cat")


@pytest.fixture(autouse=True)
def said_anew():
    warn_once.cache_clear()


def hidden(part, rows=None, to=-1):
    """The split with the labels of these rows, or of all, withheld."""
    labels = [to if rows is None or row in rows else label for row, label in enumerate(part["label"])]
    if to == -1:
        feature = ClassLabel(names=ANIMALS)
    else:
        labels = [label if label == to else ANIMALS[label] for label in labels]
        feature = Value("string")
    return part.remove_columns("label").add_column("label", labels, feature=feature)


@pytest.mark.parametrize(
    ("feature", "values", "expected"),
    [
        (ClassLabel(names=["a", "b"]), [0, -1, None, 1], [True, False, False, True]),
        (Value("int64"), [5, -1, None], [True, False, False]),
        (Value("float32"), [0.0, float("nan"), None], [True, False, False]),
        (Value("string"), ["a", "", " ", None], [True, False, False, False]),
        (Value("large_string"), ["a", None], [True, False]),
        (Value("bool"), [True, False, None], [True, True, False]),
        (Value("null"), [None, None], [False, False]),
    ],
)
def test_which_rows_have_a_label(feature, values, expected):
    dataset = Dataset.from_dict({"label": values}, features=Features({"label": feature}))
    assert has_label(dataset, "label").tolist() == expected


WITHOUT = {
    "minus one": hidden,
    "null": lambda part: hidden(part, to=None),
    "blank": lambda part: hidden(part, to=""),
    "no column": lambda part: part.remove_columns("label"),
    "no images": lambda part: part.remove_columns("image"),
    "no rows": lambda part: part.select([]),
}


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_test_split_without_labels_gives_way_to_validation(animals, kind, caplog):
    dataset = DatasetDict(train=animals["train"], test=WITHOUT[kind](animals["test"]), validation=animals["test"])
    splits = make_splits(dataset, CATS)
    assert splits.test_split == "validation" and splits.test_forgotten.tolist() == [True, False, False] * 2
    (told,) = [record.getMessage() for record in caplog.records]
    assert "'test'" in told and told.endswith("'validation' is the test split")


@pytest.mark.parametrize("kind", WITHOUT)
def test_without_a_labelled_split_there_is_no_test_set(animals, kind, caplog):
    unlabelled = WITHOUT[kind](animals["test"])
    splits = make_splits(DatasetDict(train=animals["train"], test=unlabelled, validation=unlabelled), CATS)
    assert splits.test is None and splits.test_split is None and not len(splits.test_forgotten)
    assert [record.getMessage().endswith("there is no test set") for record in caplog.records] == [True, True]


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_test_split_that_is_named_must_have_labels(animals, kind):
    dataset = DatasetDict(train=animals["train"], test=WITHOUT[kind](animals["test"]), validation=animals["test"])
    with pytest.raises(UnlearningError, match="the test split 'test' (has no|is empty)"):
        make_splits(dataset, CATS, test_split="test")


def test_labelled_rows_of_a_test_split_are_used_and_keep_their_names(animals, caplog):
    splits = make_splits(DatasetDict({**animals, "test": hidden(animals["test"], rows=[0, 4])}), CATS)
    assert splits.test_labels().tolist() == [1, 2, 0, 2]
    what, rows = splits.origin("test")
    assert what == "the split 'test'" and rows.tolist() == [1, 2, 3, 5]
    assert "2 of the 6 rows of the test split 'test' have no label and are left out" in caplog.text


@given(st.sets(st.integers(0, 17), max_size=12), st.sets(st.integers(0, 17), min_size=1, max_size=4))
def test_rows_of_the_train_split_without_a_label_are_in_no_set(unlabelled, wanted):
    train = make_split([0, 1, 2] * 6)
    dataset = DatasetDict(train=hidden(train, rows=unlabelled))
    labelled = sorted(set(range(18)) - unlabelled)
    request = ForgetRequest(indices=tuple(sorted(wanted)))
    if wanted & unlabelled:
        with pytest.raises(UnlearningError, match=f"row {min(wanted & unlabelled)} of the train split.*has no label"):
            make_splits(dataset, request)
        return
    if set(labelled) == wanted:
        return
    splits = make_splits(dataset, request)
    assert splits.forget_indices.tolist() == sorted(wanted) and splits.request.indices == tuple(sorted(wanted))
    assert sorted([*splits.forget_indices, *splits.retain_indices]) == labelled
    pictures = train["image"]
    for part, indices in ((splits.forget, splits.forget_indices), (splits.retain, splits.retain_indices)):
        assert [each.tobytes() for each in part["image"]] == [pictures[row].tobytes() for row in indices]
        assert part["label"] == [row % 3 for row in indices]


def test_a_class_is_forgotten_where_it_is_labelled(animals):
    splits = make_splits(DatasetDict(train=hidden(animals["train"], rows=[0, 1, 2])), CATS)
    assert splits.forget_indices.tolist() == [3, 6, 9, 12, 15]
    assert 0 not in splits.retain_indices and splits.removes_whole_classes


def test_a_train_split_without_labels_is_refused(animals):
    with pytest.raises(UnlearningError, match="the train split 'train' has no labels: column 'label' holds none"):
        make_splits(DatasetDict(train=hidden(animals["train"])), CATS)


def test_a_test_set_from_elsewhere_is_a_labelled_one(animals, caplog):
    samples = animals["train"].select([0, 3])
    test = DatasetDict(test=hidden(animals["test"]), validation=animals["test"])
    splits = forget_splits(samples, "class", test=test)
    assert splits.test_split == "validation" and splits.test_forgotten.sum() == 2
    assert "'validation' is the test split" in caplog.text
    some = forget_splits(samples, "class", test=hidden(animals["test"], rows=[1]))
    assert some.origin("test")[1].tolist() == [0, 2, 3, 4, 5] and len(some.test) == 5
    with pytest.raises(UnlearningError, match="the test set has no labels"):
        forget_splits(samples, "class", test=hidden(animals["test"]))
    with pytest.raises(UnlearningError, match="no split of the test set has labels; there are: 'test', 'validation'"):
        forget_splits(samples, "class", test=DatasetDict(test=test["test"], validation=test["test"]))


def test_labels_everywhere_are_as_they_were(animals):
    splits = make_splits(animals, CATS)
    assert np.array_equal(splits.origin("test")[1], np.arange(6))
    assert np.array_equal(splits.origin("forget")[1], splits.forget_indices)
