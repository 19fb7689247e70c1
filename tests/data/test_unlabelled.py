"""Images without labels: they are read as labelled ones are, and known to have none."""

from __future__ import annotations

import pytest
import torch
from datasets import ClassLabel, Dataset, Value
from torch.utils.data import Subset, TensorDataset

from hf_unlearn.data.reading import as_pixels
from hf_unlearn.data.unlabelled import unlabelled_pixels
from hf_unlearn.errors import UnlearningError
from tests.tiny import LABELS, make_dataset, make_model, make_processor

SIZE = 6


@pytest.fixture(scope="module")
def plain():
    return as_pixels(make_dataset(SIZE), make_model(), make_processor(), None, None)


def read(dataset, image=None, label=None):
    return unlabelled_pixels(dataset, make_model(), make_processor(), image, label)


def with_column(name, values, feature):
    images = make_dataset(SIZE).select_columns(["image"])
    return images.add_column(name, values, feature=feature)


def withheld():
    # As test splits have it whose labels are not given out.
    dataset = with_column("label", [-1] * SIZE, Value("int64"))
    return dataset.cast_column("label", ClassLabel(names=LABELS))


def streamed():
    return make_dataset(SIZE).select_columns(["image"]).to_iterable_dataset()


def pictures():
    return [row["image"] for row in make_dataset(SIZE)]


def ready(plain):
    return TensorDataset(plain.process(range(SIZE)))


UNLABELLED = {
    "no column of labels": lambda _: make_dataset(SIZE).select_columns(["image"]),
    "labels that are withheld": lambda _: withheld(),
    "no value": lambda _: with_column("label", [None] * SIZE, Value("string")),
    "blank texts": lambda _: with_column("label", [" "] * SIZE, Value("string")),
    "other columns": lambda _: with_column("camera", list("abcdef"), Value("string")),
    "a stream": lambda _: streamed(),
    "images": lambda _: pictures(),
    "images by name": lambda _: [{"image": picture} for picture in pictures()],
    "one label fewer than none": lambda _: [(picture, -1) for picture in pictures()],
    "tuples of one": lambda plain: ready(plain),
    "arrays": lambda plain: list(plain.process(range(SIZE)).numpy()),
    "pixels of a dataset": lambda plain: Dataset.from_dict({"pixel_values": plain.process(range(SIZE)).numpy()}),
    "a subset": lambda _: Subset(make_dataset(SIZE).select_columns(["image"]), range(SIZE)),
}


@pytest.mark.parametrize("form", UNLABELLED)
def test_images_without_labels_are_read_as_labelled_ones_are(form, plain):
    found = read(UNLABELLED[form](plain))
    assert found is not None and not found.labelled and len(found) == SIZE
    pixels = torch.stack([found[row]["pixel_values"] for row in range(SIZE)])
    torch.testing.assert_close(pixels, plain.process(range(SIZE)), atol=1e-6, rtol=0)


LABELLED = {
    "a column of labels": lambda: make_dataset(SIZE),
    "one row has one": lambda: with_column("label", [-1, -1, 2, -1, -1, -1], Value("int64")),
    "another name": lambda: make_dataset(SIZE).rename_column("label", "colour"),
    "pairs": lambda: [(picture, 1) for picture in pictures()],
    "a stream": lambda: make_dataset(SIZE).to_iterable_dataset(),
    "names": lambda: [{"image": picture, "label": LABELS[0]} for picture in pictures()],
}


@pytest.mark.parametrize("form", LABELLED)
def test_what_has_labels_is_left_to_those_who_read_them(form):
    assert read(LABELLED[form]()) is None


@pytest.mark.parametrize("nothing", [None, 3, []])
def test_what_is_no_dataset_is_left_to_those_who_say_so(nothing):
    assert read(nothing) is None


def test_a_dataset_that_fails_is_left_to_those_who_say_so():
    class Fails(list):
        def __getitem__(self, index):
            raise RuntimeError("unplugged")

    assert read(Fails([1])) is None


def test_no_images_are_one_line():
    with pytest.raises(UnlearningError, match="no column of images"):
        read(Dataset.from_dict({"text": ["a", "b"]}))
