"""A split of a dataset as a model eats it: pixel values, class ids, positions."""

from __future__ import annotations

import math
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.request import find_image_column, find_label_column, label_names, match_labels

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from hf_unlearn.request import UnlearningSplits

_GIB = 2**30
# What decoding an image raises.
_UNREADABLE = (OSError, ValueError, SyntaxError, AttributeError, EOFError, IndexError, struct.error)
# Threads; decoding does not hold Python's lock.
_DECODERS = min(4, os.cpu_count() or 1)


class PixelDataset(torch.utils.data.Dataset):
    """The images of a `datasets` dataset through an image processor, with labels as the *model's* class ids.

    An item is `{"pixel_values": (channels, height, width) float32, "labels": int, "index": int}`, where `index` is
    the item's position in `dataset`.

    Args:
        dataset: with a decoded image column and a label column of integers.
        image_processor: what turns a list of PIL images into `pixel_values`.
        image_column, label_column: names of the columns.
        class_ids: for each label id of the dataset, the class id of the model
            (see [`hf_unlearn.request.match_labels`]).
        num_channels: 1 for a greyscale model, else 3.
        cache_gib: once [`preload`] is called the preprocessed pixels are kept: in memory if they take no more than
            this many GiB, else in a file without a name in the folder for temporary files, which is gone with the
            process; if the disk has no room for them either, each pass decodes the images anew.
        index_names: the rows' indices as the user knows them, for messages about a row.
    """

    def __init__(
        self,
        dataset: Dataset,
        image_processor: Callable[..., Any],
        image_column: str,
        label_column: str,
        class_ids: Sequence[int],
        num_channels: int = 3,
        cache_gib: float = 4.0,
        index_names: Sequence[int] | None = None,
    ):
        self.dataset = dataset
        # The other columns, another image perhaps, are not decoded.
        self._images = dataset.select_columns([image_column])
        self.image_processor = image_processor
        self.image_column = image_column
        self.cache_gib = cache_gib
        self.labels = torch.tensor([class_ids[label] for label in dataset[label_column][:]], dtype=torch.long)
        self._mode = "L" if num_channels == 1 else "RGB"
        self._index_names = index_names
        self._pixels: torch.Tensor | None = None

    @classmethod
    def for_model(
        cls,
        dataset: Dataset,
        config: PretrainedConfig,
        image_processor: Callable[..., Any],
        image_column: str,
        label_column: str,
        label_names: Sequence[str],
        **kwargs: Any,
    ) -> PixelDataset:
        """As the model with this configuration eats it: its channels, its class ids (matched by name).

        Args:
            label_names: names of the dataset's labels, by label id.

        Raises:
            UnlearningError: a label that the model does not have.
        """
        class_ids = match_labels(label_names, cast("dict[str, int]", config.label2id))
        num_channels = getattr(config, "num_channels", 3)
        return cls(dataset, image_processor, image_column, label_column, class_ids, num_channels, **kwargs)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        # The hook by which a DataLoader fetches a whole batch at once.
        pixels = self.process(indices) if self._pixels is None else self._pixels[indices]
        return [
            {"pixel_values": pixels[row], "labels": int(self.labels[index]), "index": index}
            for row, index in enumerate(indices)
        ]

    def process(self, indices: Sequence[int]) -> torch.Tensor:
        """Decode and preprocess the rows at `indices`: `(len(indices), channels, height, width)` float32.

        Raises:
            UnlearningError: an image cannot be decoded; the message names its index.
        """
        return self._preprocess(self._decode(indices))

    def _preprocess(self, images: list[Image.Image]) -> torch.Tensor:
        return self.image_processor(images, return_tensors="pt")["pixel_values"].float()

    def preload(self, description: str = "Reading images", batch_size: int = 256) -> PixelDataset:
        """Decode and preprocess every image once, keeping the pixels where there is room for them.

        Raises:
            UnlearningError: an image cannot be decoded; the message names its index.
        """
        if self._pixels is not None or not len(self):
            return self
        pixels: torch.Tensor | None = None
        batches = [range(start, min(start + batch_size, len(self))) for start in range(0, len(self), batch_size)]
        with ThreadPoolExecutor(_DECODERS) as pool:
            # Images are decoded while those before them are preprocessed, but not many batches ahead.
            waiting = [pool.submit(self._decode, batch) for batch in batches[:_DECODERS]]
            for position, rows in enumerate(
                tqdm(batches, desc=description, unit="batch", delay=2, disable=None, leave=False)
            ):
                images = waiting.pop(0).result()
                if position + _DECODERS < len(batches):
                    waiting.append(pool.submit(self._decode, batches[position + _DECODERS]))
                batch = self._preprocess(images)
                if not position:
                    pixels = self._room((len(self), *batch.shape[1:]))
                if pixels is not None:
                    pixels[rows.start : rows.stop] = batch
        self._pixels = pixels
        return self

    def _room(self, shape: tuple[int, ...]) -> torch.Tensor | None:
        """Where float32 pixels of this shape can be kept; None if nowhere."""
        size = 4 * math.prod(shape)
        if size <= self.cache_gib * _GIB:
            return torch.empty(shape)
        if size > 0.9 * shutil.disk_usage(tempfile.gettempdir()).free:
            return None
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            # The map keeps the file, which has no name any more.
            return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=shape))

    def _decode(self, indices: Sequence[int]) -> list[Image.Image]:
        rows = [int(index) for index in indices]
        try:
            return [image.convert(self._mode) for image in self._images[rows][self.image_column]]
        except _UNREADABLE:
            # One of them: which?
            return [self._decode_one(row) for row in rows]

    def _decode_one(self, row: int) -> Image.Image:
        try:
            return self._images[row][self.image_column].convert(self._mode)
        except _UNREADABLE as error:
            named = row if self._index_names is None else self._index_names[row]
            raise UnlearningError(
                f"the image at index {int(named)} of column {self.image_column!r} cannot be read: {one_line(error)}"
            ) from error


def pixels_of(
    splits: UnlearningSplits,
    part: str,
    model: PreTrainedModel | PretrainedConfig,
    image_processor: Callable[..., Any],
    rows: Sequence[int] | None = None,
    **kwargs: Any,
) -> PixelDataset:
    """One of a request's splits as a model eats it: with its labels and its number of channels.

    Args:
        part: `"forget"`, `"retain"` or `"test"`.
        model: the model, or its configuration.
        image_processor: what turns a list of PIL images into `pixel_values`.
        rows: only these rows of the split, by position.
        **kwargs: as for [`PixelDataset`].

    Raises:
        UnlearningError: no such split, or a label that the model does not have.
    """
    parts = {"forget": splits.forget, "retain": splits.retain, "test": splits.test}
    if part not in parts:
        raise UnlearningError(f"split {part!r} is not one of {', '.join(parts)}")
    dataset = parts[part]
    if dataset is None:
        raise UnlearningError(f"the {part} set is None; expected splits that have one")
    # An error about a row names its index in the train split, or in a forget set that is given by itself.
    names: Sequence[int] = range(len(dataset))
    if part == "retain":
        names = splits.retain_indices.tolist()
    elif part == "forget" and splits.request.kind not in ("dataset_config", "split", "samples"):
        names = splits.forget_indices.tolist()
    if rows is not None:
        dataset, names = dataset.select(rows), [names[row] for row in rows]
    columns = (splits.image_column, splits.label_column, splits.label_names)
    config = cast("PretrainedConfig", getattr(model, "config", model))
    return PixelDataset.for_model(dataset, config, image_processor, *columns, index_names=names, **kwargs)


def as_pixels(
    dataset: Any, model: PreTrainedModel, processing_class: Any, image_column: str | None, label_column: str | None
) -> Any:
    """A `datasets` dataset as `model` eats it, its columns found or named; anything else as it is.

    Raises:
        UnlearningError: no such column, a label that the model does not have, or no image processor.
    """
    if not isinstance(dataset, Dataset) or "pixel_values" in dataset.column_names:
        return dataset
    if processing_class is None:
        raise UnlearningError("processing_class is None; expected the model's image processor")
    image = find_image_column(dataset, image_column)
    label = find_label_column(dataset, label_column)
    return PixelDataset.for_model(dataset, model.config, processing_class, image, label, label_names(dataset, label))


def try_forward(model: PreTrainedModel, pixels: PixelDataset) -> None:
    """One sample through the model, before any long work.

    Raises:
        UnlearningError: the model does not take images as its image processor makes them.
    """
    if not len(pixels):
        return
    one = pixels[0]["pixel_values"].unsqueeze(0).to(model.device, model.dtype)
    try:
        with torch.no_grad():
            outputs = model.eval()(pixel_values=one)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise UnlearningError(
            f"the model does not take images of {tuple(one.shape[1:])}, as its image processor makes them: "
            f"{one_line(error)}"
        ) from error
    expected = (1, model.config.num_labels)
    if "logits" not in outputs or tuple(outputs["logits"].shape) != expected:
        found = {name: tuple(value.shape) for name, value in outputs.items() if isinstance(value, torch.Tensor)}
        raise UnlearningError(f"the model gives {found} for one image; expected 'logits' of shape {expected}")


def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Items of a [`PixelDataset`] as one batch: `pixel_values`, `labels` and `index` tensors."""
    return {
        "pixel_values": torch.stack([item["pixel_values"] for item in items]),
        "labels": torch.tensor([item["labels"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
    }
