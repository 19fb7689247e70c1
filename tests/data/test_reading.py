"""Datasets as users of torch and of `datasets` have them, as the model eats them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Array3D, ClassLabel, Dataset, DatasetDict, Features, IterableDataset, List, Value
from PIL import Image as PilImage
from torch.utils.data import DataLoader, Subset, TensorDataset

from hf_unlearn.data.map_style import MapStylePixels
from hf_unlearn.data.pixels import PixelDataset, collate, try_forward
from hf_unlearn.data.reading import as_pixels
from hf_unlearn.errors import UnlearningError
from tests.tiny import LABELS, make_dataset, make_model, make_processor

SIZE = 8


@pytest.fixture(scope="module")
def plain():
    """The samples as a `datasets` dataset of images, read."""
    return read(make_dataset(SIZE))


def read(dataset, model=None, processor=None, image=None, label=None, **kwargs):
    return as_pixels(dataset, model or make_model(), processor or make_processor(), image, label, **kwargs)


def same(pixels, plain, rows=range(SIZE)):
    """Whether an unread and a read one give these samples of the plain dataset, each at its own position."""
    for loaded in (pixels, pixels.preload(batch_size=3)):
        batch = next(iter(DataLoader(loaded, batch_size=len(rows), collate_fn=collate)))
        assert torch.allclose(batch["pixel_values"], plain.process(rows), atol=1e-6)
        assert batch["labels"].tolist() == plain.labels[list(rows)].tolist() == loaded.labels.tolist()
        assert batch["index"].tolist() == list(range(len(rows)))
    return True


class Samples(torch.utils.data.Dataset):
    """A map-style dataset of someone's own."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        if isinstance(self.samples[index], Exception):
            raise self.samples[index]
        return self.samples[index]


def pictures():
    return [(row["image"], row["label"]) for row in make_dataset(SIZE)]


FORMS = {
    "pairs": lambda plain: pictures(),
    "dicts of images": lambda plain: [{"image": image, "label": label} for image, label in pictures()],
    "another key": lambda plain: [{"img": image, "labels": label} for image, label in pictures()],
    "label names": lambda plain: [(image, LABELS[label]) for image, label in pictures()],
    "arrays of bytes": lambda plain: [(np.asarray(image), np.int64(label)) for image, label in pictures()],
    "tensors of bytes": lambda plain: [
        (torch.tensor(np.asarray(image)).permute(2, 0, 1), torch.tensor(label)) for image, label in pictures()
    ],
    "ready dicts": lambda plain: [plain[row] for row in range(SIZE)],
    "ready pairs": lambda plain: [(plain[row]["pixel_values"], plain[row]["labels"]) for row in range(SIZE)],
    "ready arrays": lambda plain: [
        {"pixel_values": plain[row]["pixel_values"].numpy().astype(np.float64), "label": plain[row]["labels"]}
        for row in range(SIZE)
    ],
    "ready lists": lambda plain: [
        {"pixel_values": plain[row]["pixel_values"].tolist(), "labels": plain[row]["labels"]} for row in range(SIZE)
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_any_map_style_dataset(plain, form):
    samples = FORMS[form](plain)
    assert same(read(Samples(samples)), plain) and same(read(samples), plain)
    assert same(read(Subset(Samples(samples), [5, 2, 6])), plain, [5, 2, 6])


def test_tensors_together(plain):
    assert same(read(TensorDataset(plain.process(range(SIZE)), plain.labels)), plain)


def test_subsets_of_what_is_read_already(plain):
    rows = [3, 4, 7]
    assert same(read(Subset(make_dataset(SIZE), rows)), plain, rows)
    assert isinstance(read(Subset(Subset(make_dataset(SIZE), rows), [2, 0])), PixelDataset)
    assert same(read(Subset(Subset(make_dataset(SIZE), rows), [2, 0])), plain, [7, 3])
    # Its samples have positions of their own, which tell forgotten from retained ones.
    assert same(read(Subset(plain, rows)), plain, rows)
    assert read(plain) is plain and read(None) is None


def ready(plain, kind, labels=None, feature=None):
    pixels = plain.process(range(SIZE)).numpy()
    features = {
        "lists": List(List(List(Value("float32")))),
        "doubles": List(List(List(Value("float64")))),
        "array": Array3D((3, 16, 16), "float32"),
    }
    columns = {"pixel_values": list(pixels), "labels": plain.labels.tolist() if labels is None else labels}
    features = Features({"pixel_values": features[kind], "labels": feature or Value("int64")})
    return Dataset.from_dict(columns, features=features)


@pytest.mark.parametrize("kind", ["lists", "doubles", "array"])
@pytest.mark.parametrize("formatted", [None, "torch", "numpy"])
def test_a_column_of_ready_pixels(plain, kind, formatted):
    assert same(read(ready(plain, kind).with_format(formatted)), plain)


@pytest.mark.parametrize(
    ("labels", "feature"),
    [
        ([LABELS[row % 4] for row in range(SIZE)], Value("string")),
        ([3 - row % 4 for row in range(SIZE)], ClassLabel(names=LABELS[::-1])),
    ],
)
def test_labels_beside_ready_pixels_are_matched(plain, labels, feature):
    assert same(read(ready(plain, "array", labels, feature)), plain)
    renamed = ready(plain, "array", labels, feature).rename_column("labels", "kind")
    assert same(read(renamed, label="kind"), plain)


def test_a_transform_that_makes_pixels_is_used_and_any_other_undone(plain):
    def process(rows):
        return {"pixel_values": make_processor()(rows["image"])["pixel_values"], "labels": rows["label"]}

    def process_alone(rows):
        rows["pixel_values"] = [make_processor()(image)["pixel_values"][0] for image in rows.pop("image")]
        return rows

    def fail(rows):
        raise KeyError("nothing")

    data = make_dataset(SIZE)
    assert isinstance(read(data.with_transform(process)), MapStylePixels)
    assert same(read(data.with_transform(process)), plain)
    assert same(read(data.with_transform(process_alone)), plain)
    for other in (lambda rows: {"text": rows["person"]}, fail):
        assert same(read(data.with_transform(other)), plain)
    unlabelled = data.remove_columns(["label", "person"])
    given = unlabelled.with_transform(lambda rows: {**process({**rows, "label": [2] * len(rows["image"])})})
    assert read(given).preload().labels.tolist() == [2] * SIZE


def test_a_stream_is_read_into_memory(plain):
    assert same(read(make_dataset(SIZE).to_iterable_dataset()), plain)
    bare = IterableDataset.from_generator(lambda: iter(make_dataset(SIZE)))
    assert same(read(bare.cast(make_dataset(SIZE).features)), plain)


def test_what_is_kept_is_the_samples_as_they_were_read_once(plain):
    seen = []

    class Counting(Samples):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    pixels = read(Counting(pictures())).preload()
    assert pixels.labels.tolist() == plain.labels.tolist() and pixels[3]["labels"] == 3
    assert sorted(seen) == list(range(SIZE))
    seen.clear()
    assert read(Counting(pictures())).labels.tolist() == plain.labels.tolist() and sorted(seen) == list(range(SIZE))


GOOD = (PilImage.new("RGB", (16, 16)), 1)
TENSOR = torch.zeros(3, 16, 16)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (3, "sample 1 of the dataset is a int; expected a pair of image and label, or a dict with 'pixel_values'"),
        ({"pixels": 3, "label": 0}, "sample 1 of the dataset holds 'pixels', 'label'; expected"),
        ({"image": GOOD[0]}, "sample 1 of the dataset holds 'image'; expected"),
        (("red.png", 0), "the image of sample 1 of the dataset is .*expected"),
        (({"a": 1}, 0), "the image of sample 1 of the dataset is a dict; expected a PIL image or an array"),
        (
            (TENSOR.permute(1, 2, 0), 0),
            r"float32 and shape \(16, 16, 3\); expected floats of shape \(3, height, width\)",
        ),
        (
            {"pixel_values": torch.zeros(3, 4, 4, dtype=torch.uint8), "label": 0},
            "the pixel_values of sample 1 .* uint8",
        ),
        ((torch.zeros(1, 16, 16), 0), r"shape \(1, 16, 16\); expected floats of shape \(3, height"),
        ((TENSOR[:, :8], 0), r"several shapes: \(3, 16, 16\) of sample 0 .* and \(3, 8, 16\) of sample 1"),
        ((GOOD[0], 4), "the label of sample 1 of the dataset is 4; expected a class id of the model, 0 to 3"),
        ((GOOD[0], -1), "the label of sample 1 of the dataset is -1"),
        ((GOOD[0], 1.5), "the label of sample 1 of the dataset is 1.5; expected a class id of the model, or a name"),
        ((GOOD[0], [0, 1, 0, 0]), "expected a class id of the model, or a name"),
        ((GOOD[0], "purple"), "the model lacks the labels 'purple'"),
        (KeyError("gone"), "sample 1 of the dataset cannot be read: 'gone'"),
    ],
)
def test_samples_that_are_none_are_one_line(sample, message):
    with pytest.raises(UnlearningError, match=message) as caught:
        read(Samples([GOOD, sample])).preload()
    assert "\n" not in str(caught.value)


def test_pictures_need_an_image_processor_and_ready_pixels_do_not(plain):
    with pytest.raises(UnlearningError, match="processing_class is None"):
        as_pixels([GOOD], make_model(), None, None, None).preload()
    assert len(as_pixels(ready(plain, "array"), make_model(), None, None, None).preload()) == SIZE


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            DatasetDict(train=make_dataset(4), test=make_dataset(4)),
            "is a DatasetDict of 'train', 'test'; expected one of",
        ),
        (iter([GOOD]), "is a list_iterator, without a length or samples by position; expected a map-style dataset"),
        (DataLoader(make_dataset(4)), "is a DataLoader, without"),
        (make_dataset(4).to_iterable_dataset().filter(lambda row: False), "is a stream without a sample"),
        (Dataset.from_dict({"pixel_values": [[[[0.0]]]]}), "no column of class labels"),
        (
            Dataset.from_dict({"pixel_values": [[[[0]]]], "label": [1]}),
            "is of int64 and shape .1, 1, 1.; expected floats",
        ),
    ],
)
def test_what_is_no_dataset_of_one_split_is_one_line(dataset, message):
    with pytest.raises(UnlearningError, match=message) as caught:
        read(dataset).preload()
    assert "\n" not in str(caught.value)


def test_ready_pixels_of_another_size_than_the_models(plain):
    pixels = read([(torch.zeros(3, 24, 24), 0)], make_model("vit"))
    with pytest.raises(UnlearningError, match=r"does not take images of \(3, 24, 24\), as the dataset gives them: "):
        try_forward(make_model("vit"), pixels)
