"""Labels of a plain dataset, as a trainer is given one: names, numbers, several columns, a mapping."""

from __future__ import annotations

import pytest
from datasets import ClassLabel, DatasetDict, Value

from hf_unlearn.data.pixels import pixels_of
from hf_unlearn.data.reading import as_pixels
from hf_unlearn.errors import UnlearningError, warn_once
from hf_unlearn.request import ForgetRequest, make_splits
from tests.tiny import LABELS, make_dataset, make_model, make_processor

SIZE = 8


@pytest.fixture(autouse=True)
def said_anew():
    warn_once.cache_clear()


def labelled(values, feature, column="label"):
    plain = make_dataset(SIZE)
    if column in plain.column_names:
        plain = plain.remove_columns(column)
    return plain.add_column(column, values, feature=feature)


def class_ids(dataset, model=None, column=None, **kwargs):
    pixels = as_pixels(dataset, model or make_model(), make_processor(), None, column, **kwargs)
    return pixels.labels.tolist()


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        ([LABELS[row % 4] for row in range(SIZE)], Value("string")),
        ([row % 4 for row in range(SIZE)], Value("int64")),
        ([float(row % 4) for row in range(SIZE)], Value("float32")),
        ([row % 4 for row in range(SIZE)], ClassLabel(num_classes=4)),
        ([row % 4 + 1 for row in range(SIZE)], Value("uint8")),
    ],
)
def test_names_and_numbers(values, feature):
    assert class_ids(labelled(values, feature)) == [0, 1, 2, 3] * 2


def test_a_part_of_the_labels_is_read_as_the_whole_is():
    """A forget set of one class has one name or one number; it means what it means in all of the data."""
    assert class_ids(labelled(["blue"] * SIZE, Value("string"))) == [2] * SIZE
    assert class_ids(labelled([2] * SIZE, Value("int64"))) == [2] * SIZE
    assert class_ids(labelled([True] * SIZE, Value("bool"))) == [1] * SIZE


def test_the_order_of_a_part_says_nothing():
    """A model without names of its labels was trained in some order, which names in the rows alone do not tell."""
    generic = make_model(label_names=[f"LABEL_{label}" for label in range(4)])
    every = labelled([LABELS[row % 4] for row in range(SIZE)], Value("string"))
    assert class_ids(every, generic) == [sorted(LABELS).index(name) for name in LABELS] * 2
    assert class_ids(labelled([2] * SIZE, ClassLabel(names=LABELS)), generic) == [2] * SIZE
    with pytest.raises(UnlearningError, match="the model lacks the labels 'blue'; it has: 'LABEL_0'.*label_mapping"):
        class_ids(labelled(["blue"] * SIZE, Value("string")), generic)
    assert class_ids(labelled(["blue"] * SIZE, Value("string")), generic, label_mapping={"blue": 2}) == [2] * SIZE


def test_of_several_columns_it_is_the_one_whose_labels_the_model_has():
    dataset = labelled([row % 2 for row in range(SIZE)], ClassLabel(names=["warm", "cold"]), "coarse")
    dataset = dataset.rename_column("label", "fine")
    assert class_ids(dataset) == [0, 1, 2, 3] * 2
    assert class_ids(dataset, make_model(label_names=["cold", "warm"])) == [1, 0] * 4
    with pytest.raises(UnlearningError, match="several columns of class labels, name one of: 'fine', 'coarse'"):
        class_ids(dataset, make_model(label_names=["a", "b"]))


@pytest.mark.parametrize("request_", [{"subclasses": "f1", "subclass_column": "fine"}, {"where": {"fine": "f1"}}])
def test_a_request_on_one_of_two_columns_leaves_the_other(request_):
    dataset = make_dataset(SIZE).rename_column("label", "coarse")
    fine = ClassLabel(names=[f"f{row}" for row in range(SIZE)])
    dataset = DatasetDict(train=dataset.add_column("fine", list(range(SIZE)), feature=fine))
    splits = make_splits(dataset, ForgetRequest(**request_))
    assert splits.label_column == "coarse" and splits.forget_indices.tolist() == [1]
    assert pixels_of(splits, "forget", make_model(), make_processor()).labels.tolist() == [1]
    # The forget set by itself is read as the model's labels are.
    assert class_ids(splits.forget) == [1]


def test_a_mapping_may_name_more_than_the_samples_have(tmp_path):
    mapping = {"rot": "red", "blau": 2, "grau": "grey"}
    dataset = labelled(["blau"] * SIZE, Value("string"))
    assert class_ids(dataset, label_mapping=mapping) == [2] * SIZE
    (tmp_path / "labels.json").write_text('{"blau": "red", "rot": "blue"}')
    assert class_ids(dataset, label_mapping=tmp_path / "labels.json") == [0] * SIZE
    with pytest.raises(UnlearningError, match="the model lacks the labels 'blau'"):
        class_ids(dataset, label_mapping={"rot": "red"})


def test_a_selection_keeps_names_that_the_model_lacks():
    names = ["aqua", *LABELS]
    assert class_ids(labelled([row % 4 + 1 for row in range(SIZE)], ClassLabel(names=names))) == [0, 1, 2, 3] * 2
    with pytest.raises(UnlearningError, match="the model lacks the labels 'aqua'"):
        class_ids(labelled([0] * SIZE, ClassLabel(names=names)))
