"""A split of a dataset as a model eats it: pixel values, class ids, positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Dataset, Image
from PIL.Image import Image as Picture
from tqdm.auto import tqdm

from hf_unlearn.data.ahead import ahead
from hf_unlearn.data.processing import shape_problem, to_pixels
from hf_unlearn.data.room import room_for
from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.request import label_array, match_labels
from hf_unlearn.request.columns import as_image_column
from hf_unlearn.request.images import DECODERS, UnreadableImage, read_image
from hf_unlearn.request.label_mapping import LabelMapping

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from hf_unlearn.request import UnlearningSplits

# Images that are decoded together: large photographs take much memory before they are resized.
_CHUNK = 64


class PixelDataset(torch.utils.data.Dataset):
    """The images of a `datasets` dataset through an image processor, with labels as the *model's* class ids.

    An item is `{"pixel_values": (channels, height, width) float32, "labels": int, "index": int}`, where `index` is
    the item's position in `dataset`.

    Args:
        dataset: with an image column and a label column of integers; the format or transform that it may have is not
            applied.
        image_processor: what turns a list of PIL images into `pixel_values`.
        image_column, label_column: names of the columns.
        class_ids: for each label id of the dataset, the class id of the model, −1 if no sample has it
            (see [`hf_unlearn.request.match_labels`]).
        num_channels: 1 for a greyscale model, else 3.
        cache_gib: once [`preload`] is called the preprocessed pixels are kept: in memory if they take no more than
            this many GiB, else in a file without a name in the folder for temporary files, which is gone with the
            process; if the disk has no room for them either, each pass decodes the images anew.
        index_names: the rows' indices as the user knows them, for messages about a row.
        split_name: what those are the indices of, for messages: "the split 'train'", say.

    Attributes:
        source: `dataset` as it was given.
    """

    # Where pixels are from, for messages.
    made = "its image processor makes them"
    # False where the labels stand in the place of some that nobody knows.
    labelled = True

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
        split_name: str | None = None,
    ):
        if image_processor is None:
            raise UnlearningError("processing_class is None; expected the model's image processor")
        self.source = dataset
        # A saved dataset may come with a format, which makes of an image what is none, or hides its column.
        self.dataset = as_image_column(dataset, image_column)
        feature = self.dataset.features[image_column]
        self._stored_mode = feature.mode if isinstance(feature, Image) else None
        # The other columns, another image perhaps, are not decoded, and this one not by `datasets`.
        images = self.dataset.select_columns([image_column])
        self._images = images.cast_column(image_column, Image(decode=False))
        self.image_processor = image_processor
        self.image_column = image_column
        self.cache_gib = cache_gib
        self.labels = torch.tensor([class_ids[label] for label in self.dataset[label_column][:]], dtype=torch.long)
        if len(self.labels) and int(self.labels.min()) < 0:
            row = int(self.labels.argmin())
            name = dataset.features[label_column].int2str(int(self.dataset[row][label_column]))
            raise UnlearningError(f"the model lacks the label {name!r}")
        self._num_channels = num_channels
        self._index_names = index_names
        self._split_name = split_name or f"column {image_column!r}"
        # Of the first image that was processed: its row and its shape, which all others have.
        self._first: tuple[int, tuple[int, ...]] | None = None
        self._pixels: torch.Tensor | None = None
        # Whether every image was read once.
        self._verified = False

    @classmethod
    def for_model(
        cls,
        dataset: Dataset,
        config: PretrainedConfig,
        image_processor: Callable[..., Any],
        image_column: str,
        label_column: str,
        label_names: Sequence[str],
        label_mapping: LabelMapping | None = None,
        label_values: Sequence[int] | None = None,
        complete: bool = True,
        **kwargs: Any,
    ) -> PixelDataset:
        """As the model with this configuration eats it: its channels, its class ids.

        Args:
            label_names: names of the dataset's labels, by label id.
            label_mapping, label_values, complete: see [`hf_unlearn.request.match_labels`].

        Raises:
            UnlearningError: a label that the model does not have, or no image processor.
        """
        class_ids = match_labels(
            label_names,
            id2label_of(config),
            label_mapping,
            values=label_values,
            used=label_array(dataset, label_column).tolist(),
            complete=complete,
        )
        return cls(dataset, image_processor, image_column, label_column, class_ids, num_channels_of(config), **kwargs)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        # The hook by which a DataLoader fetches a whole batch at once.
        pixels = self.process(indices) if self._pixels is None else self._pixels[indices]
        return self._items(pixels, indices)

    def in_batches(self, batches: Sequence[Sequence[int]]) -> Iterator[list[dict[str, Any]]]:
        """The items at the indices of each batch in turn; several threads decode images ahead of their use."""
        if self._pixels is not None:
            yield from (self.__getitems__(list(batch)) for batch in batches)
            return
        chunks = [batch[start : start + _CHUNK] for batch in batches for start in range(0, len(batch), _CHUNK)]
        processed = self._processed(chunks)
        for batch in batches:
            parts = [next(processed) for _ in range(0, len(batch), _CHUNK)]
            yield self._items(torch.cat(parts), batch)

    def _items(self, pixels: torch.Tensor, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"pixel_values": pixels[row], "labels": int(self.labels[index]), "index": index}
            for row, index in enumerate(indices)
        ]

    def _processed(self, chunks: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
        """The pixels of each chunk; while one is in use, the next ones are decoded."""
        return (self._preprocess(images, chunk) for chunk, images in ahead(self._decode, chunks, DECODERS))

    def process(self, indices: Sequence[int]) -> torch.Tensor:
        """Decode and preprocess the rows at `indices`: `(len(indices), channels, height, width)` float32.

        Raises:
            UnlearningError: an image cannot be decoded, or the image processor does not take it; the message names its
                index.
        """
        return self._preprocess(self._decode(indices), indices)

    def _preprocess(self, images: list[Picture], rows: Sequence[int]) -> torch.Tensor:
        names = [self._name(row) for row in rows]
        pixels = to_pixels(self.image_processor, images, self._num_channels, names)
        shape = tuple(pixels.shape[1:])
        self._first = self._first or (int(rows[0]), shape)
        if shape != self._first[1]:
            first, expected = self._first
            raise UnlearningError(shape_problem(self.image_processor, (expected, shape), (self._name(first), names[0])))
        return pixels

    def preload(self, description: str = "Reading images", batch_size: int = _CHUNK) -> PixelDataset:
        """Decode and preprocess every image once, keeping the pixels where there is room for them.

        Raises:
            UnlearningError: an image cannot be decoded, or the image processor does not take it; the message names its
                index.
        """
        if self._pixels is not None or not len(self):
            return self
        pixels: torch.Tensor | None = None
        for rows, batch in self._batches(range(len(self)), description, batch_size):
            if not rows[0]:
                pixels = room_for((len(self), *batch.shape[1:]), self.cache_gib)
            if pixels is not None:
                pixels[rows[0] : rows[-1] + 1] = batch
        self._pixels = pixels
        self._verified = True
        return self

    def verify(self, rows: Sequence[int] | None = None, description: str = "Checking images") -> PixelDataset:
        """Decode and preprocess the images at `rows`, or all, keeping nothing: what is broken is found before the work.

        Raises:
            UnlearningError: as [`preload`].
        """
        if not self._verified:
            for _ in self._batches(range(len(self)) if rows is None else rows, description):
                pass
            self._verified = rows is None
        return self

    def _batches(
        self, rows: Sequence[int], description: str, batch_size: int = _CHUNK
    ) -> Iterator[tuple[Sequence[int], torch.Tensor]]:
        """Rows and their pixels, batch by batch."""
        batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        shown = tqdm(batches, desc=description, unit="batch", delay=2, disable=None, leave=False)
        return zip(shown, self._processed(batches), strict=True)

    def _decode(self, indices: Sequence[int]) -> list[Picture]:
        rows = [int(index) for index in indices]
        return [
            self._read(row, encoded) for row, encoded in zip(rows, self._images[rows][self.image_column], strict=True)
        ]

    def _read(self, row: int, encoded: dict[str, Any] | None) -> Picture:
        try:
            return read_image(encoded, "L" if self._num_channels == 1 else "RGB", self._stored_mode)
        except UnreadableImage as error:
            raise UnreadableImage(f"{self._name(row)} {error}") from error.__cause__

    def _name(self, row: int) -> str:
        named = row if self._index_names is None else self._index_names[row]
        return f"the image at index {int(named)} of {self._split_name}"


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
    # An error about a row names its index in the split that it is from.
    split_name, indices = splits.origin(part)
    if rows is not None:
        dataset, indices = dataset.select(rows), indices[list(rows)]
    kwargs = {"index_names": indices.tolist(), "split_name": split_name, **kwargs}
    return pixels_like(splits, dataset, model, image_processor, **kwargs)


def pixels_like(
    splits: UnlearningSplits,
    dataset: Dataset,
    model: PreTrainedModel | PretrainedConfig,
    image_processor: Callable[..., Any],
    **kwargs: Any,
) -> PixelDataset:
    """A dataset with a request's columns and labels, as a model eats it; arguments as for [`pixels_of`]."""
    config = cast("PretrainedConfig", getattr(model, "config", model))
    return PixelDataset(
        dataset,
        image_processor,
        splits.image_column,
        splits.label_column,
        splits.class_ids(id2label_of(config)),
        num_channels_of(config),
        **kwargs,
    )


def num_channels_of(config: PretrainedConfig) -> int:
    """Channels of the images that a model with this configuration takes."""
    return int(getattr(config, "num_channels", 3))


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
    # A model's own code raises what it likes.
    except Exception as error:
        raise UnlearningError(
            f"the model does not take images of {tuple(one.shape[1:])}, as {pixels.made}: {one_line(error)}"
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
