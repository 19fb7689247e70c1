from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.forget_request import ForgetRequest
from hf_unlearn.request.selection import random_rows
from hf_unlearn.request.splits import make_splits
from hf_unlearn.request.streaming import stream_splits

# The dataset fixture is never changed, so that hypothesis may use one for all its examples.
SHARED_FIXTURE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_partition(splits, size):
    together = np.concatenate([splits.forget_indices, splits.retain_indices])
    assert sorted(together.tolist()) == list(range(size))
    for indices in (splits.forget_indices, splits.retain_indices):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
    assert len(splits.retain) == len(splits.retain_indices) > 0


@SHARED_FIXTURE
@given(
    request_fields=st.one_of(
        st.fixed_dictionaries({"fraction": st.floats(0.001, 0.97)}),
        st.fixed_dictionaries({"count": st.integers(1, 17)}),
    ),
    stratify=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_a_random_request_parts_the_train_split(animals, request_fields, stratify, seed):
    request = ForgetRequest(**request_fields, stratify=stratify, seed=seed)
    splits = make_splits(animals, request)
    check_partition(splits, 18)
    expected = request_fields.get("count") or max(1, round(18 * request_fields["fraction"]))
    assert len(splits.forget) == len(splits.forget_indices) == expected
    assert np.array_equal(splits.forget_indices, make_splits(animals, request).forget_indices)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_a_stratified_draw_is_proportional_and_exact(labels, share, seed):
    labels = np.array(labels)
    num_samples = max(1, round(share * len(labels)))
    rows = random_rows(len(labels), num_samples, seed, labels)
    assert len(set(rows.tolist())) == num_samples
    for label in np.unique(labels):
        fair = num_samples * (labels == label).sum() / len(labels)
        assert abs((labels[rows] == label).sum() - fair) < 1


def test_another_seed_draws_others(animals):
    drawn = {tuple(make_splits(animals, ForgetRequest(count=9, seed=seed)).forget_indices) for seed in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize("wanted", ["owl", 2, "2"])
def test_forgetting_a_class(animals, wanted):
    splits = make_splits(animals, ForgetRequest(classes=wanted))
    check_partition(splits, 18)
    assert set(splits.forget_labels()) == {2}
    assert set(splits.retain_labels()) == {0, 1}
    assert splits.forgotten_class_ids == (2,)
    assert splits.test_forgotten.tolist() == (splits.test_labels() == 2).tolist()
    assert splits.request.classes == ("owl",)
    assert splits.forget[0]["image"].size == (4, 4)


def test_images_are_not_copied(animals):
    splits = make_splits(animals, ForgetRequest(classes=("owl",)))
    assert splits.forget.data.nbytes == splits.retain.data.nbytes == animals["train"].data.nbytes


def test_forgetting_a_subclass(animals):
    splits = make_splits(animals, ForgetRequest(subclasses=("tabby",), subclass_column="fine"))
    check_partition(splits, 18)
    assert set(splits.forget["fine"]) == {0}
    assert set(splits.forget["label"]) == {0}
    assert splits.test_forgotten.tolist() == [fine == 0 for fine in animals["test"]["fine"]]
    assert splits.forgotten_class_ids == ()
    without = DatasetDict({**animals, "test": animals["test"].remove_columns("fine")})
    assert not make_splits(without, splits.request).test_forgotten.any()


def test_a_subclass_is_found_by_name_in_a_test_split_of_another_order(animals):
    names = animals["test"].features["fine"].names[::-1]
    turned = [4 - fine for fine in animals["test"]["fine"]]
    test = animals["test"].remove_columns("fine").add_column("fine", turned, feature=ClassLabel(names=names))
    request = ForgetRequest(subclasses=("tabby",), subclass_column="fine")
    splits = make_splits(DatasetDict({**animals, "test": test}), request)
    assert splits.test_forgotten.tolist() == make_splits(animals, request).test_forgotten.tolist()


@pytest.mark.parametrize("kind", ["string", "int64", "float64", "classes"])
def test_a_subclass_is_forgotten_where_other_samples_have_none(animals, kind):
    from datasets import Value

    def with_gaps(part):
        values = [None if fine > 2 else fine for fine in part["fine"]]
        if kind == "string":
            values = ["" if fine is None else f"kind {fine}" for fine in values]
        feature = part.features["fine"] if kind == "classes" else Value(kind)
        return part.remove_columns("fine").add_column("fine", values, feature=feature)

    names = {"string": "kind 1", "classes": animals["test"].features["fine"].names[1]}
    name = names.get(kind, "1")
    request = ForgetRequest(subclasses=(name,), subclass_column="fine")
    splits = make_splits(DatasetDict({key: with_gaps(part) for key, part in animals.items()}), request)
    assert splits.forget_indices.tolist() == [row for row, fine in enumerate(animals["train"]["fine"]) if fine == 1]
    assert splits.test_forgotten.tolist() == [fine == 1 for fine in animals["test"]["fine"]]
    column = animals["test"].features["fine"]
    empty = animals["test"].remove_columns("fine")
    empty = empty.add_column("fine", [None] * len(empty), feature=column)
    request = ForgetRequest(subclasses=(column.names[1],), subclass_column="fine")
    assert not make_splits(DatasetDict({**animals, "test": empty}), request).test_forgotten.any()


def test_a_column_of_no_subclass_at_all_is_refused(animals):
    empty = animals["train"].remove_columns("fine").add_column("fine", [None] * len(animals["train"]))
    empty = empty.cast_column("fine", animals["test"].features["fine"])
    with pytest.raises(UnlearningError, match="no row of the train split has a value in column 'fine'"):
        make_splits(DatasetDict(train=empty), ForgetRequest(subclasses=("tabby",), subclass_column="fine"))


def test_forgetting_indices_from_a_list_or_a_file(animals, tmp_path):
    (tmp_path / "a.txt").write_text("7\n3\n")
    for indices in ((7, 3), str(tmp_path / "a.txt")):
        splits = make_splits(animals, ForgetRequest(indices=indices))
        assert splits.forget_indices.tolist() == [3, 7]
        assert splits.request.indices == (3, 7)
        assert not splits.test_forgotten.any()


def test_forgetting_a_person(animals):
    splits = make_splits(animals, ForgetRequest(where={"owner": ("42", "43"), "country": ("it",), "label": ("cat",)}))
    assert splits.forget_indices.tolist() == [
        row
        for row, sample in enumerate(animals["train"])
        if sample["owner"] in (42, 43) and sample["country"] == "it" and sample["label"] == 0
    ]


@pytest.mark.parametrize("given", ["cat", {"classes": "cat"}, None, ForgetRequest])
def test_what_is_no_request_is_refused(animals, given):
    with pytest.raises(UnlearningError, match="expected a ForgetRequest, such as"):
        make_splits(animals, given)
    with pytest.raises(UnlearningError, match="expected a ForgetRequest, such as"):
        stream_splits("org/animals", given)


@pytest.mark.parametrize(
    ("dtype", "values", "asked"),
    [
        # What pandas makes of whole numbers with a gap among them.
        ("float64", [None, 1.0, 2.0], ["1", "1.0", 1, 1.0]),
        ("int64", [None, 1, 2], ["1", "1.0", 1, 1.0]),
        ("int64", [2**53, 2**53 + 1, 2**53 + 2], [str(2**53 + 1), 2**53 + 1]),
        ("float32", [0.5, 0.1, float("nan")], ["0.1", "0.10", 0.1]),
        ("bool", [False, True, False], ["True", "true", True]),
    ],
)
def test_a_value_is_found_however_it_is_written(animals, dtype, values, asked):
    column = (values * 6)[: len(animals["train"])]
    dataset = DatasetDict(train=animals["train"].add_column("person", column, feature=Value(dtype)))
    for value in asked:
        splits = make_splits(dataset, ForgetRequest(where={"person": value}))
        assert splits.forget_indices.tolist() == list(range(1, len(column), 3)), repr(value)


@pytest.mark.parametrize(
    ("dtype", "values", "asked"),
    [("float64", [1.0, float("nan")], "nan"), ("int64", [1, 2], "1.5"), ("string", ["1", "2"], "1.0")],
)
def test_a_value_that_no_row_has_is_refused(animals, dtype, values, asked):
    column = values * (len(animals["train"]) // 2)
    dataset = DatasetDict(train=animals["train"].add_column("person", column, feature=Value(dtype)))
    with pytest.raises(UnlearningError, match=f"no row has '{asked}' in column 'person'"):
        make_splits(dataset, ForgetRequest(where={"person": asked}))


def test_a_class_emptied_by_other_means_is_told(animals):
    splits = make_splits(animals, ForgetRequest(indices=tuple(range(2, 18, 3))))
    assert splits.forgotten_class_ids == (2,)
    assert splits.test_forgotten.tolist() == (splits.test_labels() == 2).tolist()


def test_every_spelling_of_a_class_forgets_the_same(animals):
    """Which test samples belong to what is forgotten follows from the classes that are gone."""
    rows = [row for row, label in enumerate(animals["train"]["label"]) if label == 1]
    given = DatasetDict({**animals, "gone": animals["train"].select(rows)})
    spellings = {
        "name": {"classes": "dog"},
        "id": {"classes": 1},
        "where": {"where": {"label": "dog"}},
        "fine": {"where": {"fine": ("poodle", "beagle")}},
        "subclass": {"subclasses": ("poodle", "beagle"), "subclass_column": "fine"},
        "indices": {"indices": np.array(rows)},
        "split": {"split": "gone"},
        "config": {"dataset_config": "gone"},
    }
    for spelling, fields in spellings.items():
        made = make_splits(given, ForgetRequest(**fields), load_config=lambda name: DatasetDict(train=given["gone"]))
        assert made.forget_indices.tolist() == rows, spelling
        assert made.forgotten_class_ids == (1,) and made.forget_kind == "class", spelling
        assert made.test_forgotten.tolist() == (made.test_labels() == 1).tolist(), spelling


def test_a_class_that_only_a_given_forget_set_has_is_gone(animals):
    dogs, others = (animals["train"].filter(lambda row, dog=dog: (row["label"] == 1) == dog) for dog in (True, False))
    dataset = DatasetDict({"train": others, "gone": dogs, "test": animals["test"]})
    splits = make_splits(dataset, ForgetRequest(split="gone"))
    assert splits.forgotten_class_ids == (1,) and splits.removes_whole_classes and not len(splits.forget_indices)
    assert splits.test_forgotten.tolist() == (splits.test_labels() == 1).tolist()


def test_a_split_as_the_forget_set_takes_its_copies_from_the_train_split(split):
    train = split([0, 1, 2, 0], first_image=0)
    # Images 1 and 3 with their labels, 2 with another label, and one that the train split does not have.
    removed = split([1, 1, 0, 0], first_image=1)
    dataset = DatasetDict({"train": train, "removed": removed, "test": split([0, 1, 2], first_image=50)})
    splits = make_splits(dataset, ForgetRequest(split="removed"))
    check_partition(splits, 4)
    assert splits.forget_indices.tolist() == [1, 3]
    assert len(splits.forget) == 4
    assert splits.test is not None and len(splits.test) == 3


def test_content_copies_leave_with_a_given_forget_set(split, animals):
    train = animals["train"].select([0, 1, 0, 2, 0])
    dataset = DatasetDict({"train": train, "removed": animals["train"].select([0])})
    assert make_splits(dataset, ForgetRequest(split="removed")).forget_indices.tolist() == [0, 2, 4]


def test_a_configuration_as_the_forget_set(animals):
    # The configuration numbers the same labels otherwise.
    names = ["owl", "dog", "cat"]
    rows = animals["train"].select([2, 5])
    other = rows.remove_columns("label").add_column("label", [0, 0], feature=ClassLabel(names=names))
    asked = []

    def load_config(name):
        asked.append(name)
        return DatasetDict({"train": other})

    splits = make_splits(animals, ForgetRequest(dataset_config="forget10"), load_config=load_config)
    assert asked == ["forget10"]
    assert splits.forget_indices.tolist() == [2, 5]
    assert splits.forget_labels().tolist() == [2, 2]


def test_string_labels_are_encoded_alike_in_all_splits(animals):
    def as_strings(part):
        texts = [animals["train"].features["label"].names[label] for label in part["label"]]
        return part.remove_columns("label").add_column("label", texts, feature=Value("string"))

    # The test split lacks a class, so that encoding each split by itself would number them differently.
    dataset = DatasetDict({"train": as_strings(animals["train"]), "test": as_strings(animals["test"].select([1, 2]))})
    splits = make_splits(dataset, ForgetRequest(classes=("owl",)), label_column_name="label")
    assert splits.label_names == ["cat", "dog", "owl"]
    assert splits.test_labels().tolist() == [1, 2]
    assert splits.test_forgotten.tolist() == [False, True]
    assert isinstance(splits.retain.features["label"], ClassLabel)


def test_integer_labels_are_named_by_their_digits(animals):
    dataset = animals.cast_column("label", Value("int64"))
    splits = make_splits(dataset, ForgetRequest(classes=(2,)), label_column_name="label")
    assert splits.label_names == ["0", "1", "2"]
    assert splits.request.classes == ("2",)


@pytest.mark.parametrize(
    ("splits", "train", "test"),
    [
        (["train", "test"], "train", "test"),
        (["train", "val", "validation"], "train", "validation"),
        (["full"], "full", None),
        (["test"], "test", None),
    ],
)
def test_usual_splits(animals, splits, train, test):
    made = make_splits(DatasetDict({name: animals["train"] for name in splits}), ForgetRequest(count=2))
    assert (made.train_split, made.test_split) == (train, test)
    assert len(made.test_forgotten) == len(made.test_labels()) == (18 if test else 0)


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"classes": "owll"}, {}, "forget class 'owll' is not a label of this dataset; did you mean 'owl'"),
        ({"classes": 9}, {}, "its ids are 0 to 2"),
        ({"classes": ("cat", "dog", "owl")}, {}, "the forget set is everything: the classes"),
        ({"count": 18}, {}, "the forget set is everything: 18 random samples"),
        ({"count": 19}, {}, "forget count 19 is more than the 18 samples"),
        ({"indices": (18,)}, {}, "forget index 18 is out of range: the train split has 18 samples, 0 to 17"),
        ({"subclasses": "tabbi", "subclass_column": "fine"}, {}, "sub-class 'tabbi' .* did you mean 'tabby'"),
        ({"subclasses": "a", "subclass_column": "fin"}, {}, "'fin' does not exist; did you mean 'fine'"),
        ({"where": {"ownr": "42"}}, {}, "column 'ownr' does not exist; did you mean 'owner'"),
        ({"where": {"image": "42"}}, {}, "column 'image' does not hold plain values"),
        ({"where": {"owner": "420"}}, {}, "no row has '420' in column 'owner'; did you mean '42'"),
        ({"where": {"owner": ("42", "7")}}, {}, "no row has '7' in column 'owner'; there are: '40', '41'"),
        ({"where": {"label": "cta"}}, {}, "'label' value 'cta' is not a label"),
        ({"where": {"label": "cat", "fine": "poodle"}}, {}, "values given of 'label' and 'fine' together"),
        ({"split": "rmoved"}, {}, "forget split 'rmoved' does not exist; there are: 'train', 'test'"),
        ({"split": "train"}, {}, "the forget set is everything: 'train' is the train split itself"),
        ({"split": "test"}, {"test_split": "test"}, "cannot be both the test and the forget split"),
        ({"dataset_config": "x"}, {}, "no load_config was given"),
        ({"count": 1}, {"train_split": "trian"}, "train split 'trian' does not exist; did you mean 'train'"),
        ({"count": 1}, {"test_split": "tset"}, "test split 'tset' does not exist; did you mean 'test'"),
        ({"count": 1}, {"test_split": "train"}, "cannot be both the test and the train split"),
        ({"count": 1}, {"image_column_name": "img"}, "image column 'img' does not exist"),
        ({"count": 1}, {"label_column_name": "lbl"}, "label column 'lbl' does not exist"),
    ],
)
def test_bad_requests(animals, fields, options, message):
    with pytest.raises(UnlearningError, match=message) as caught:
        make_splits(animals, ForgetRequest(**fields), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": "owl"}, "the forget set is empty: no sample of the train split has the class 'owl'"),
        (
            {"subclasses": "barn owl", "subclass_column": "fine"},
            "the forget set is empty: no sample of the train split has the sub-class 'barn owl'",
        ),
    ],
)
def test_a_class_without_samples(split, fields, message):
    with pytest.raises(UnlearningError, match=message):
        make_splits(DatasetDict({"train": split([0, 1])}), ForgetRequest(**fields))


def test_an_empty_given_forget_set(animals):
    dataset = DatasetDict({**animals, "removed": animals["train"].select([])})
    with pytest.raises(UnlearningError, match="the forget set is empty: the split 'removed' has no samples"):
        make_splits(dataset, ForgetRequest(split="removed"))


def test_a_given_forget_set_that_covers_the_train_split(animals):
    with pytest.raises(UnlearningError, match="the forget set is everything: the dataset configuration 'all'"):
        make_splits(animals, ForgetRequest(dataset_config="all"), load_config=lambda name: animals)


def test_a_configuration_without_the_train_split(animals):
    other = DatasetDict({"a": animals["test"], "b": animals["test"]})
    with pytest.raises(UnlearningError, match="has no split 'train'; there are: 'a', 'b'"):
        make_splits(animals, ForgetRequest(dataset_config="x"), load_config=lambda name: other)


def test_a_single_split_is_not_a_dataset(animals):
    with pytest.raises(UnlearningError, match=r"not a Dataset: wrap it as DatasetDict\(train=...\)"):
        make_splits(animals["train"], ForgetRequest(count=1))


def test_no_split_called_train(animals):
    with pytest.raises(UnlearningError, match="no split 'train'; name another of: 'a', 'b'"):
        make_splits(DatasetDict({"a": animals["train"], "b": animals["test"]}), ForgetRequest(count=1))


def test_an_empty_train_split(animals):
    with pytest.raises(UnlearningError, match="the train split 'train' is empty"):
        make_splits(DatasetDict({"train": animals["train"].select([])}), ForgetRequest(count=1))


def test_all_but_three_samples_of_a_class_are_the_class():
    labels = [0] * 40 + [1] * 40
    data = Dataset.from_dict({"image": [Image.new("RGB", (4, 4), (row, 0, 0)) for row in range(80)], "label": labels})
    data = data.cast_column("label", ClassLabel(names=["cat", "dog"]))
    for left, kind in ((3, "class"), (4, "subset")):
        splits = make_splits(DatasetDict(train=data), ForgetRequest(indices=tuple(range(40 - left))))
        assert splits.forget_kind == kind
        assert len(splits.retain_indices) == 40 + left
