"""Images as a model eats them."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Image
from torch.utils.data import DataLoader

from hf_unlearn.data.pixels import PixelDataset, collate
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


def test_a_corrupt_image_is_named_as_the_user_knows_it():
    rows = make_dataset(6).cast_column("image", Image(decode=False))
    broken = [row["image"] if index != 4 else {"bytes": b"no", "path": None} for index, row in enumerate(rows)]
    broken = rows.remove_columns("image").add_column("image", broken).cast_column("image", Image())
    with pytest.raises(UnlearningError, match="index 104 of column 'image'"):
        make_pixels(broken, index_names=range(100, 106)).preload()
