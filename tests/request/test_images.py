from __future__ import annotations

import pytest

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.forget_request import ForgetRequest
from hf_unlearn.request.images import sample_digests, verify_images
from hf_unlearn.request.splits import make_splits


@pytest.fixture
def broken(animals):
    """The dataset with the train images at 5 (cut short), 8 (not an image) and 11 (missing) broken."""
    from datasets import DatasetDict, Image

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


def test_corrupt_images_outside_the_forget_set_do_not_matter(broken):
    make_splits(broken, ForgetRequest(indices=(0, 1))).verify_forget_images()


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
