"""Images as a model eats them."""

from __future__ import annotations

import errno
import gc
import io
import os
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as PilImage
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
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [], "the file has no name"
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
    monkeypatch.setattr("hf_unlearn.data.room.shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    fresh, none = make_pixels(), make_pixels(cache_gib=1e-6).preload()
    assert none._pixels is None and torch.equal(none[3]["pixel_values"], fresh[3]["pixel_values"])


def test_the_room_on_disk_is_really_there(monkeypatch):
    blocks, memmap = [], np.memmap

    def spy(file, **kwargs):
        blocks.append(os.fstat(file.fileno()).st_blocks * 512)
        return memmap(file, **kwargs)

    monkeypatch.setattr("hf_unlearn.data.room.np.memmap", spy)
    assert make_pixels(cache_gib=1e-6).preload()._pixels is not None
    assert blocks[0] >= 4 * 10 * 3 * 16 * 16, "a file with holes has none of it"


@pytest.mark.parametrize("fault", ["full", "unknown"])
def test_a_disk_that_gives_no_room_is_not_mapped(monkeypatch, fault):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    if fault == "full":
        monkeypatch.setattr("os.posix_fallocate", full)
    else:
        monkeypatch.delattr("os.posix_fallocate")
    fresh, none = make_pixels(), make_pixels(cache_gib=1e-6).preload()
    assert none._pixels is None and torch.equal(none[3]["pixel_values"], fresh[3]["pixel_values"])


@pytest.mark.parametrize(("processes", "kept"), [(1, True), (2, True), (4, False)])
def test_each_process_of_this_machine_needs_room(monkeypatch, processes, kept):
    free = 3.5 * 4 * 10 * 3 * 16 * 16
    monkeypatch.setattr("hf_unlearn.data.room.shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert (make_pixels(cache_gib=1e-6).preload()._pixels is not None) == kept


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


@pytest.mark.parametrize(
    "formatted",
    [
        lambda dataset: dataset.with_format("torch"),
        lambda dataset: dataset.with_format("numpy", columns=["label"]),
        lambda dataset: dataset.with_transform(lambda rows: {"nothing": rows["label"]}),
        lambda dataset: dataset.cast_column("image", Image(decode=False)),
        lambda dataset: dataset.select_columns(["label", "image"]),
    ],
)
def test_a_format_that_was_saved_with_the_data_does_not_matter(formatted):
    plain, given = make_pixels(), make_pixels(formatted(make_dataset(10)))
    assert torch.equal(given.process(range(10)), plain.process(range(10)))
    assert given.labels.tolist() == plain.labels.tolist()


def encoded(*images):
    """Rows of encoded images, as they are stored."""
    features = Features({"image": Image(), "label": ClassLabel(names=LABELS)})
    return Dataset.from_dict({"image": list(images), "label": [0] * len(images)}, features=features)


def png_bytes(values, kind="PNG"):
    buffer = io.BytesIO()
    PilImage.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def test_a_deep_picture_is_not_white():
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = make_pixels(
        encoded(*({"bytes": png_bytes(each), "path": None} for each in (shades, shades * np.uint16(257))))
    )
    assert torch.equal(pixels[0]["pixel_values"], pixels[1]["pixel_values"])


def broken_files():
    good = png_bytes(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    data = good.index(b"IDAT")
    garbled = good[: data + 4] + bytes(12) + good[data + 16 :]
    checked = zlib.crc32(garbled[data : good.index(b"IEND") - 8]).to_bytes(4, "big")
    huge = good[:16] + (60_000).to_bytes(4, "big") * 2 + good[24:]
    return {
        "no image": b"not an image",
        "nothing": b"",
        "cut short": good[:60],
        "cut in the middle": good[:400],
        "garbled data": garbled[: good.index(b"IEND") - 8] + checked + garbled[good.index(b"IEND") - 4 :],
        "too many pixels": huge[:29] + zlib.crc32(huge[12:29]).to_bytes(4, "big") + huge[33:],
        "broken header": good[:12] + b"XHDR" + good[16:],
        "jpeg without content": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
        "gif cut short": b"GIF89a\x01\x00",
        "tiff cut short": b"II*\x00",
        "webp cut short": b"RIFF\x1a\x00\x00\x00WEBPVP8 ",
        "bmp cut short": b"BM" + bytes(20),
    }


@pytest.mark.parametrize("kind", broken_files())
def test_whatever_pil_raises_is_one_line_with_split_and_index(kind):
    good = {"bytes": png_bytes(np.zeros((16, 16, 3), np.uint8)), "path": None}
    rows = encoded(good, good, {"bytes": broken_files()[kind], "path": None})
    with pytest.raises(UnlearningError, match="the image at index 7 of the split 'kept' cannot be read: .") as caught:
        make_pixels(rows, index_names=[3, 5, 7], split_name="the split 'kept'").preload()
    assert "\n" not in str(caught.value) and "0x" not in str(caught.value)


def test_a_row_without_an_image_is_named():
    good = {"bytes": png_bytes(np.zeros((16, 16, 3), np.uint8)), "path": None}
    with pytest.raises(UnlearningError, match="the image at index 1 of column 'image' is missing"):
        make_pixels(encoded(good, None)).preload()


def test_shapes_that_differ_from_batch_to_batch_are_named():
    from transformers import ViTImageProcessorPil

    dataset = encoded(
        *({"bytes": png_bytes(np.zeros((16, width, 3), np.uint8)), "path": None} for width in (16, 16, 24))
    )
    processor = ViTImageProcessorPil(do_resize=False)
    pixels = PixelDataset(dataset, processor, "image", "label", range(4))
    with pytest.raises(
        UnlearningError, match="3 × 16 × 16 of the image at index 0 .* 3 × 16 × 24 of the image at index 2"
    ):
        pixels.preload(batch_size=2)
    assert "do_resize=False" in str(pytest.raises(UnlearningError, pixels.process, [2]).value)
