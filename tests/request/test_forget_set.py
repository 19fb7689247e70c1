"""The samples to forget by themselves: what labels they get, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Image
from PIL import Image as PilImage

from hf_unlearn import UnlearningError, forget_splits, load_image_dataset
from tests.request.conftest import make_split, png


def folder_of(path, *names, count=3):
    """JPEG files below `path`, in the sub-folders `names`, or in none."""
    for name in names or (".",):
        (path / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = PilImage.open(io.BytesIO(png(number))).convert("RGB")
            image.save(path / name / f"holiday-{number}.jpg")
    return load_image_dataset(str(path))


def unlabelled(count=4):
    return make_split([0] * count).select_columns(["image"])


MODEL = dict(enumerate(["owl", "cat", "ant", "dog"]))


def test_labels_are_those_of_a_model(split):
    """By name or number, or as a mapping says, which may name labels that no sample has."""
    assert forget_splits(unlabelled(), "class", forget_label="cat").class_ids(MODEL) == [1]
    # A column in which nobody wrote anything contradicts no label.
    assert forget_splits(split([None, None]), "class", forget_label="cat").class_ids(MODEL) == [1]
    numbers = split([0, 1]).remove_columns(["label", "fine"]).add_column("label", [3, 2])
    alone = forget_splits(numbers, "class", test=numbers.select([0]))
    assert [alone.class_ids(MODEL)[label] for label in alone.forget_labels()] == [3, 2]
    mapping = {"Hund": "dog", "Katze": 1}
    given = forget_splits(unlabelled(), "class", forget_label="Hund", label_mapping=mapping)
    assert given.class_ids(MODEL) == [3] and given.label_mapping == {"Hund": "dog"}
    generic = {label: f"LABEL_{label}" for label in range(4)}
    assert forget_splits(unlabelled(), "class", forget_label="LABEL_2").class_ids(generic) == [2]
    with pytest.raises(UnlearningError, match="the model lacks the labels 'cat'"):
        forget_splits(unlabelled(), "class", forget_label="cat").class_ids(generic)


@pytest.mark.parametrize("kind", ["class", "subset"])
def test_a_flat_folder_of_photographs(tmp_path, kind):
    splits = forget_splits(folder_of(tmp_path / "flat"), kind, forget_label="rocket")
    assert splits.retain is None and splits.test is None and not len(splits.retain_indices)
    assert splits.request.kind == "samples" and splits.forget_kind == kind
    assert splits.label_names == ["rocket"] and splits.forget_labels().tolist() == [0, 0, 0]
    assert splits.forget_indices.tolist() == [0, 1, 2] and splits.forget[0]["image"].size == (4, 4)
    assert splits.forgotten_class_ids == ((0,) if kind == "class" else ())
    assert splits.removes_whole_classes == (kind == "class")
    public = f"{splits.request.public_dict()} {splits.request.describe()} {splits.fingerprint.to_dict()}"
    assert "holiday" not in public and str(tmp_path) not in public and "flat" not in public
    # A class that vanishes is named, as in any request; that of samples that are someone's is not.
    assert ("rocket" in public) == (kind == "class")


def test_folders_by_class_bring_their_labels(tmp_path):
    splits = forget_splits(folder_of(tmp_path / "two", "cat", "owl"), "class")
    assert splits.label_names == ["cat", "owl"] and splits.forget_labels().tolist() == [0] * 3 + [1] * 3
    assert splits.request.classes == ("cat", "owl") and splits.forgotten_class_ids == (0, 1)


def test_only_classes_that_samples_have_are_gone(split):
    assert forget_splits(split([1, 1]), "class").request.classes == ("dog",)
    assert forget_splits(split([1, 1]), "class").forgotten_class_ids == (1,)


def test_labels_as_plain_text_and_a_label_for_each(split):
    texts = split([0, 1, 1]).remove_columns(["label", "fine"]).add_column("label", ["owl", "cat", "owl"])
    assert forget_splits(texts, "subset").label_names == ["cat", "owl"]
    given = forget_splits(unlabelled(3), "subset", forget_label=["owl", "cat", "owl"])
    assert [given.label_names[label] for label in given.forget_labels()] == ["owl", "cat", "owl"]
    # What is said of each sample comes before a column that happens to be there.
    assert forget_splits(split([0, 0]), "subset", forget_label=["dog", "owl"]).label_names == ["dog", "owl"]
    with pytest.raises(UnlearningError, match="2 labels; expected one for each of 3"):
        forget_splits(unlabelled(3), "subset", forget_label=["owl", "cat"])


@pytest.mark.parametrize("label", ["dog", "Dog"])
def test_a_test_set_from_elsewhere(split, label):
    test = split([0, 1, 2, 1], first_image=50).rename_columns({"image": "picture", "label": "animal"})
    test = test.remove_columns("fine")
    splits = forget_splits(unlabelled(), "class", forget_label=label, test=DatasetDict(validation=test))
    assert splits.label_names == ["cat", "dog", "owl"] and splits.test_split == "validation"
    assert splits.forget_labels().tolist() == [1] * 4 and splits.test_labels().tolist() == [0, 1, 2, 1]
    assert splits.test_forgotten.tolist() == [False, True, False, True]
    assert splits.test.column_names == splits.forget.column_names and splits.test[0]["image"].size == (4, 4)
    subset = forget_splits(unlabelled(), "subset", forget_label=label, test=test)
    assert not subset.test_forgotten.any() and len(subset.test_forgotten) == 4
    # The same request with and without a test set is one request.
    assert splits.fingerprint.id == forget_splits(unlabelled(), "class", forget_label=label).fingerprint.id


def test_a_label_that_the_test_set_lacks_is_one_more(split):
    splits = forget_splits(unlabelled(), "class", forget_label="gnu", test=split([0, 2]))
    assert splits.label_names == ["cat", "dog", "owl", "gnu"] and splits.forgotten_class_ids == (3,)


def test_equal_requests_have_equal_fingerprints_and_others_have_others(split):
    def of(samples, kind="subset", **kwargs):
        return forget_splits(samples, kind, **kwargs).fingerprint.id

    whole = split([0, 1, 2])
    assert of(whole) == of(whole.select([2, 0, 1])) == of(DatasetDict(train=whole), forget_split=None)
    others = [of(whole, "class"), of(whole.select([0, 1])), of(split([0, 1, 1])), of(split([0, 1, 2], first_image=9))]
    assert len({of(whole), *others}) == 5


def test_where_the_samples_are_on_the_hub_is_kept_and_a_folder_is_not(split, tmp_path):
    on_hub = forget_splits(split([0]), "class", dataset_name="org/pets", dataset_revision="abc").fingerprint
    assert (on_hub.dataset_name, on_hub.dataset_revision) == ("org/pets", "abc")
    (tmp_path / "jane-doe").mkdir()
    for local in (str(tmp_path / "jane-doe"), "./jane-doe", "a/b/jane-doe"):
        assert forget_splits(split([0]), "class", dataset_name=local).fingerprint.dataset_name is None


def test_bad_input(split, tmp_path):
    photos, both = folder_of(tmp_path / "flat"), folder_of(tmp_path / "two", "cat", "owl")
    several = DatasetDict(a=split([0]), b=split([1]))
    named = split([1, 1]).rename_column("label", "animal").cast_column("fine", ClassLabel(names=list("abcde")))
    for arguments, said in (
        ((photos,), "forget_kind was not said; expected 'class'"),
        ((photos, "person"), "forget_kind is 'person'; expected 'class'"),
        ((photos, "subset"), "have no labels; expected forget_label"),
        ((photos, "subset", {"forget_label": " "}), "forget_label is empty"),
        ((both, "subset", {"forget_label": "gnu"}), "labels of their own, of 2 classes: 'cat', 'owl'"),
        ((split([1]), "subset", {"forget_label": "owl"}), "labelled 'dog' in column 'label'"),
        ((split([1, None]), "subset", {"forget_label": "owl"}), "labelled 'dog' in column 'label'"),
        ((named, "subset"), "several columns of class labels"),
        ((several, "subset"), "several splits; name one as forget_split .*: 'a', 'b'"),
        ((several, "subset", {"forget_split": "c"}), "'c' does not exist"),
        ((split([0]), "subset", {"forget_split": "c"}), "single dataset without splits"),
        ((split([]), "subset"), "the forget set is empty"),
        ((split([0]).remove_columns("image"), "subset"), "no column of images"),
        ((["a.jpg"], "subset"), "is a list; expected a Dataset"),
        ((split([0]), "subset", {"test": split([])}), "the test set is empty"),
        ((split([0]), "subset", {"test": several}), "name one as test_split"),
        ((split([0]), "subset", {"test": unlabelled()}), "no column of class labels"),
    ):
        *positional, keywords = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
        if isinstance(arguments[-1], DatasetDict):
            positional, keywords = list(arguments), {}
        with pytest.raises(UnlearningError, match=said) as raised:
            forget_splits(*positional, **keywords)
        assert "\n" not in str(raised.value)


def test_one_label_for_samples_of_one_class_that_are_called_otherwise(split):
    # A person's photographs whose column tells the person, not what the model calls them.
    person = Dataset.from_dict({"image": [{"bytes": png(1), "path": None}], "label": ["img_0042"]}).cast_column(
        "image", Image()
    )
    splits = forget_splits(person, "subset", forget_label="30-39")
    assert splits.label_names == ["30-39"]
    assert np.array_equal(splits.forget_labels(), [0])


def test_labels_of_a_part_are_never_matched_by_their_place(split, tmp_path):
    nameless = {number: f"LABEL_{number}" for number in range(3)}
    some = folder_of(tmp_path / "two", "dog", "owl")
    for samples, label in ((unlabelled(), "owl"), (some, None), (unlabelled(2), ["owl", "dog"])):
        with pytest.raises(UnlearningError, match="the model lacks the labels .*label_mapping"):
            forget_splits(samples, "class", forget_label=label).class_ids(nameless)
    # A name of the model's own, a mapping, or the whole list of names say it.
    assert forget_splits(unlabelled(), "class", forget_label="LABEL_2").class_ids(nameless) == [2]
    mapped = forget_splits(unlabelled(), "class", forget_label="owl", label_mapping={"owl": 2})
    assert mapped.class_ids(nameless) == [2]
    assert forget_splits(split([2]), "class").class_ids(nameless) == [0, 1, 2]
    tested = forget_splits(unlabelled(), "class", forget_label="owl", test=split([0, 1]))
    assert tested.class_ids(nameless) == [0, 1, 2] and tested.forget_labels().tolist() == [2] * 4


def test_all_classes_cannot_vanish(split):
    animals = {0: "cat", 1: "dog", 2: "owl"}
    with pytest.raises(UnlearningError, match="everything: its samples are of all 3 classes"):
        forget_splits(split([0, 1, 2, 0]), "class").class_ids(animals)
    assert forget_splits(split([0, 1, 2, 0]), "subset").class_ids(animals) == [0, 1, 2]
    assert forget_splits(split([0, 1, 1]), "class").class_ids(animals) == [0, 1, 2]
