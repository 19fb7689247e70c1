from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Image

from hf_unlearn.errors import UnlearningError, warn_once
from hf_unlearn.request.forget_request import ForgetRequest
from hf_unlearn.request.forget_set import forget_splits
from hf_unlearn.request.images import sample_digests, verify_images
from hf_unlearn.request.splits import make_splits


@pytest.fixture(autouse=True)
def said_anew():
    warn_once.cache_clear()


@pytest.fixture
def broken(animals):
    """The dataset with the train images at 5 (cut short), 8 (not an image) and 11 (missing) broken."""
    train = animals["train"].cast_column("image", Image(decode=False))
    images = [dict(image) for image in train["image"]]
    images[5]["bytes"] = images[5]["bytes"][:45]
    images[8]["bytes"] = b"not an image"
    images[11] = {"bytes": None, "path": None}
    train = train.remove_columns("image").add_column("image", images, feature=Image())
    return DatasetDict({"train": train, "test": animals["test"]})


def test_good_images_pass(animals):
    verify_images(animals["train"], "image")


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ((2, 5, 8), "the image at index 5 of the split 'train' cannot be read: "),
        ((8,), "the image at index 8 of the split 'train' cannot be read: "),
        ((10, 11), "the image at index 11 of the split 'train' is missing"),
    ],
)
def test_the_first_corrupt_image_is_named_by_its_index(broken, indices, message):
    splits = make_splits(broken, ForgetRequest(indices=indices))
    with pytest.raises(UnlearningError, match=message):
        splits.verify_forget_images()


def test_an_image_that_was_not_fetched_is_told(animals, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    with pytest.raises(UnlearningError, match="index 0 of the train split is a pointer of Git LFS"):
        verify_images(Dataset.from_dict({"image": [pointer]}), "image")
    (tmp_path / "a.png").write_bytes(pointer)
    with pytest.raises(UnlearningError, match=r"index 0 of the train split \('a.png'\) is a pointer of Git LFS"):
        verify_images(Dataset.from_dict({"image": [str(tmp_path / "a.png")]}), "image")


def test_corrupt_images_outside_the_forget_set_do_not_matter(broken):
    make_splits(broken, ForgetRequest(indices=(0, 1))).verify_forget_images()


def test_images_in_other_forms_are_checked_too(broken):
    encoded = [image["bytes"] for image in broken["train"].cast_column("image", Image(decode=False))["image"]]
    verify_images(Dataset.from_dict({"picture": encoded[:5]}), "picture")
    with pytest.raises(UnlearningError, match="index 8 of the train split cannot be read"):
        verify_images(Dataset.from_dict({"picture": encoded}).select(range(6, 9)), "picture", range(6, 9))


def test_rows_are_their_own_indices_by_default(broken):
    with pytest.raises(UnlearningError, match="the image at index 5 of the train split cannot be read: "):
        verify_images(broken["train"], "image")


def test_an_image_file_that_is_gone(animals, tmp_path):
    from datasets import ClassLabel, Dataset, Features, Image

    features = Features({"image": Image(), "label": ClassLabel(names=["a"])})
    rows = {"image": [{"bytes": None, "path": str(tmp_path / "gone.png")}], "label": [0]}
    with pytest.raises(UnlearningError, match="the image at index 0 cannot be read"):
        sample_digests(Dataset.from_dict(rows, features=features), "image", "label")


def test_digests_tell_samples_apart_by_image_and_label(animals, split):
    train = animals["train"]
    assert len(set(sample_digests(train, "image", "label"))) == len(train)
    relabelled = split([1] * 18)
    same = set(sample_digests(relabelled, "image", "label")) & set(sample_digests(train, "image", "label"))
    assert len(same) == 6


def test_unreadable_images_are_left_out_where_asked(broken, caplog):
    test = broken["test"].cast_column("image", Image(decode=False))
    images = [dict(image) for image in test["image"]]
    images[2]["bytes"] = b"no image"
    broken["test"] = test.remove_columns("image").add_column("image", images, feature=Image())
    splits = make_splits(broken, ForgetRequest(indices=(4, 5, 6, 8)), skip_unreadable=True)
    assert splits.forget_indices.tolist() == [4, 6] and splits.forget["label"] == [1, 0]
    assert splits.fingerprint.num_forget == 2
    # What cannot be read is to be forgotten all the same: it is not retained.
    assert sorted(splits.retain_indices) == sorted(set(range(18)) - {4, 5, 6, 8})
    assert splits.origin("test")[1].tolist() == [0, 1, 3, 4, 5] == (np.delete(np.arange(6), 2)).tolist()
    assert len(splits.test) == len(splits.test_forgotten) == 5
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith(
        "2 of the 4 images of the forget set cannot be read and are left out; the image at index 5 "
    )
    assert told[1].startswith("1 of the 6 images of the test set")
    kept = splits.with_readable_retain()
    assert 11 not in kept.retain_indices and len(kept.retain) == len(kept.retain_indices) == 13
    assert make_splits(broken, ForgetRequest(indices=(4,))).with_readable_retain().retain_indices.tolist().count(11)


def test_a_given_forget_set_without_its_unreadable_images(broken):
    dataset = DatasetDict(train=broken["test"], removed=broken["train"].select([4, 5, 6]))
    splits = make_splits(dataset, ForgetRequest(split="removed"), skip_unreadable=True)
    assert len(splits.forget) == 2 and splits.origin("forget")[1].tolist() == [0, 2]
    alone = forget_splits(broken["train"].select([4, 5, 6]), "subset", skip_unreadable=True)
    assert alone.origin("forget")[1].tolist() == [0, 2] and alone.forget_labels().tolist() == [1, 0]
    named = forget_splits(
        broken["train"].select([4, 5, 6]).remove_columns("label"),
        "subset",
        forget_label=["a", "b", "c"],
        skip_unreadable=True,
    )
    assert [named.label_names[label] for label in named.forget_labels()] == ["a", "c"]


def test_where_no_image_can_be_read_nothing_is_left(broken):
    with pytest.raises(UnlearningError, match="no image of the forget set can be read: the image at index 5 of"):
        make_splits(broken, ForgetRequest(indices=(5, 8)), skip_unreadable=True)
