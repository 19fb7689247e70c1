"""Images as a model eats them."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import DatasetDict, Image
from torch.utils.data import DataLoader

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.data.pixels import PixelDataset, collate, pixels_of
from hf_unlearn.errors import UnlearningError
from tests.tiny import LABELS, make_dataset, make_model, make_processor


def make_pixels(dataset=None, **kwargs):
    return PixelDataset(dataset or make_dataset(10), make_processor(), "image", "label", range(4), **kwargs)


def test_cached_and_fresh_are_the_same():
    fresh, cached = make_pixels(), make_pixels().preload(batch_size=3)
    assert cached._pixels is not None
    for index in range(10):
        assert torch.equal(fresh[index]["pixel_values"], cached[index]["pixel_values"])
        assert fresh[index]["labels"] == cached[index]["labels"] and fresh[index]["index"] == index


def test_above_the_limit_they_are_kept_in_a_file_that_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fresh, kept = make_pixels(), make_pixels(cache_gib=1e-6).preload(batch_size=3)
    assert list(tmp_path.iterdir()) == [], "the file has no name"
    kept.process = None
    for index in range(10):
        assert torch.equal(fresh[index]["pixel_values"], kept[index]["pixel_values"])
    maps = Path("/proc/self/maps")
    if maps.is_file():
        assert str(tmp_path) in maps.read_text()
        del kept
        gc.collect()
        assert str(tmp_path) not in maps.read_text()


def test_without_room_anywhere_nothing_is_kept(monkeypatch):
    monkeypatch.setattr("hf_unlearn.data.pixels.shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    fresh, none = make_pixels(), make_pixels(cache_gib=1e-6).preload()
    assert none._pixels is None and torch.equal(none[3]["pixel_values"], fresh[3]["pixel_values"])


def test_greyscale_models_get_one_channel():
    from hf_unlearn.models.from_scratch import ViTImageProcessorPil

    processor = ViTImageProcessorPil(size={"height": 16, "width": 16}, do_normalize=False)
    pixels = PixelDataset(make_dataset(4), processor, "image", "label", range(4), num_channels=1)
    assert pixels[0]["pixel_values"].shape == (1, 16, 16)


def test_batches_hold_labels_of_the_model_and_positions():
    turned = PixelDataset.for_model(
        make_dataset(8), make_model(label_names=LABELS[::-1]).config, make_processor(), "image", "label", LABELS
    )
    batch = next(iter(DataLoader(turned, batch_size=8, collate_fn=collate)))
    assert batch["labels"].tolist() == [3, 2, 1, 0] * 2 and batch["index"].tolist() == list(range(8))
    assert batch["pixel_values"].shape == (8, 3, 16, 16)


def with_a_broken_image(rows, broken):
    rows = rows.cast_column("image", Image(decode=False))
    images = [row["image"] if index != broken else {"bytes": b"no", "path": None} for index, row in enumerate(rows)]
    return rows.remove_columns("image").add_column("image", images).cast_column("image", Image())


def test_a_corrupt_image_is_named_as_the_user_knows_it():
    broken = with_a_broken_image(make_dataset(6), 4)
    with pytest.raises(UnlearningError, match="index 104 of column 'image'"):
        make_pixels(broken, index_names=range(100, 106)).preload()


def splits_with_a_broken_image(split, index, request):
    data = DatasetDict(train=make_dataset(12), test=make_dataset(12, seed=1), extra=make_dataset(8, seed=2))
    data[split] = with_a_broken_image(data[split], index)
    return make_splits(data, ForgetRequest(**request))


@pytest.mark.parametrize(
    ("part", "split", "index", "request_fields"),
    [
        ("forget", "train", 6, {"classes": "blue"}),
        ("retain", "train", 7, {"classes": "blue"}),
        ("test", "test", 7, {"classes": "blue"}),
        ("forget", "extra", 5, {"split": "extra"}),
    ],
)
def test_a_row_of_a_split_is_named_by_its_index_in_the_dataset(part, split, index, request_fields):
    splits = splits_with_a_broken_image(split, index, request_fields)
    model, processor = make_model(), make_processor()
    with pytest.raises(UnlearningError, match=f"index {index} of"):
        pixels_of(splits, part, model, processor).preload()
    # Of some of the rows, too; the broken one is among them.
    rows = range(1, len(getattr(splits, part)))
    with pytest.raises(UnlearningError, match=f"index {index} of"):
        pixels_of(splits, part, model.config, processor, rows).preload()


def test_a_split_has_the_labels_of_the_model_and_the_rows_that_are_asked_for():
    splits = make_splits(DatasetDict(train=make_dataset(12)), ForgetRequest(classes=("green", "blue")))
    model = make_model(label_names=LABELS[::-1])
    assert pixels_of(splits, "forget", model, make_processor()).labels.tolist() == [2, 1] * 3
    assert pixels_of(splits, "forget", model, make_processor(), [1, 2]).labels.tolist() == [1, 2]
    assert pixels_of(splits, "retain", model.config, make_processor()).labels.tolist() == [3, 0] * 3


@pytest.mark.parametrize(("part", "message"), [("test", "the test set is None"), ("train", "'train' is not one of")])
def test_a_split_that_is_not_there_is_named(part, message):
    splits = make_splits(DatasetDict(train=make_dataset(12)), ForgetRequest(classes="blue"))
    with pytest.raises(UnlearningError, match=message):
        pixels_of(splits, part, make_model(), make_processor())
