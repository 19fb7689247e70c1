"""Datasets as torch has them: `Subset`s, torchvision's, lists of samples, and pixels that are ready for the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image

from hf_unlearn.data.pixels import PixelDataset, num_channels_of
from hf_unlearn.data.processing import to_pixels
from hf_unlearn.errors import UnlearningError, one_line, there_are
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.request import match_labels
from hf_unlearn.request.image_modes import as_mode

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PIXELS = "pixel_values"
_IMAGES = (PIXELS, "image", "img")
LABELS = ("labels", "label", "target")
# What may be an image by itself.
BARE = (Image.Image, torch.Tensor, np.ndarray)


class MapStylePixels(PixelDataset):
    """The samples of any map-style dataset, with labels as the model's class ids; else as [`PixelDataset`].

    A sample is a dict with an image under "pixel_values", "image" or "img" and a label under "labels", "label" or
    "target", or a pair of the two. An image is a PIL image or an array of uint8, which the image processor gets, or an
    array of floats of shape (channels, height, width), which is for the model as it is. A label is a class id or
    the name of a class of the model. A sample's transform, random or not, is applied once: its result is kept.

    Args:
        source: with `__len__` and `__getitem__`.
        config: of the model.
        image_processor: None will do where the pixels are ready.
        image_key, label_key: names of a sample's image and label, where they are others.
        labels: class ids, `(samples,)` int64, where the samples bring none. Then a sample may be an image alone.
        cache_gib: as for [`PixelDataset`].
    """

    made = "the dataset gives them"

    def __init__(
        self,
        source: Any,
        config: PretrainedConfig,
        image_processor: Callable[..., Any] | None,
        image_key: str | None = None,
        label_key: str | None = None,
        labels: torch.Tensor | None = None,
        cache_gib: float = 4.0,
    ):
        self.source = self.dataset = source
        self.image_processor = image_processor  # type: ignore[assignment]
        self.cache_gib = cache_gib
        self._id2label = id2label_of(config)
        self._num_channels = num_channels_of(config)
        self._image_keys = (image_key,) if image_key else _IMAGES
        self._label_keys = (label_key,) if label_key else LABELS
        self._given_labels = labels
        self._found_labels: dict[int, int] = {}
        self._ids_of_names: dict[str, int] = {}
        self._first = None
        self._pixels = None
        self._verified = False

    def __len__(self) -> int:
        return len(self.source)

    @property
    def labels(self) -> torch.Tensor:  # type: ignore[override]
        """The model's class ids, `(samples,)` int64; every sample is read for them, unless they all were before."""
        if self._given_labels is None:
            if len(self._found_labels) < len(self):
                self.verify()
            self._given_labels = torch.tensor([self._found_labels[row] for row in range(len(self))], dtype=torch.long)
        return self._given_labels

    def _items(self, pixels: torch.Tensor, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {PIXELS: pixels[place], "labels": self._label_at(index), "index": index}
            for place, index in enumerate(indices)
        ]

    def _label_at(self, row: int) -> int:
        return self._found_labels[row] if self._given_labels is None else int(self._given_labels[row])

    def _processed(self, chunks: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
        # One after the other: nobody knows whether the source minds threads.
        return (self.process(chunk) for chunk in chunks)

    def _decode(self, indices: Sequence[int]) -> list[Any]:
        """The images as the source has them; their labels are kept beside."""
        rows = [int(index) for index in indices]
        images = []
        for row, sample in zip(rows, self._samples(rows), strict=True):
            image, label = self._parted(sample, row)
            if self._given_labels is None:
                self._found_labels[row] = self._class_id(label, row)
            images.append(image)
        return images

    def _samples(self, rows: list[int]) -> list[Any]:
        try:
            if isinstance(self.source, Dataset):
                columns = self.source[rows]
                return [{name: values[place] for name, values in columns.items()} for place in range(len(rows))]
            fetch = getattr(self.source, "__getitems__", None)
            return list(fetch(rows)) if callable(fetch) else [self.source[row] for row in rows]
        # The dataset is the user's own code.
        except Exception as error:
            if len(rows) > 1:
                return [sample for row in rows for sample in self._samples([row])]
            raise UnlearningError(f"{self._name(rows[0])} cannot be read: {one_line(error)}") from error

    def _parted(self, sample: Any, row: int) -> tuple[Any, Any]:
        if isinstance(sample, Mapping):
            image = next((sample[key] for key in self._image_keys if key in sample), None)
            label = next((sample[key] for key in self._label_keys if key in sample), None)
            held = f"holds {there_are(sample)}"
        elif isinstance(sample, (tuple, list)) and len(sample) == 2:
            image, label = sample
            held = "is a pair"
        elif self._given_labels is not None and is_image_alone(sample):
            # Without labels a sample may be an image and nothing else.
            image, label = (sample[0] if isinstance(sample, (tuple, list)) else sample), None
            held = "is an image"
        else:
            image, label, held = None, None, f"is a {type(sample).__name__}"
        if image is None or (label is None and self._given_labels is None):
            raise UnlearningError(
                f"{self._name(row)} {held}; expected a pair of image and label, or a dict with "
                f"{' or '.join(map(repr, self._image_keys))} and {' or '.join(map(repr, self._label_keys))}"
            )
        ready = isinstance(sample, Mapping) and PIXELS in sample and PIXELS in self._image_keys
        return self._image(image, row, ready), label

    def _image(self, image: Any, row: int, ready: bool) -> Image.Image | torch.Tensor:
        """A picture for the image processor, or an array that is ready for the model."""
        if isinstance(image, Image.Image):
            try:
                return as_mode(image, "L" if self._num_channels == 1 else "RGB")
            # A file that is decoded only now may be broken in any way.
            except Exception as error:
                raise UnlearningError(f"{self._name(row)} cannot be read: {one_line(error)}") from error
        try:
            array = image.detach().cpu() if isinstance(image, torch.Tensor) else torch.from_numpy(np.array(image))
        except (TypeError, ValueError, RuntimeError):
            raise UnlearningError(
                f"the image of {self._name(row)} is a {type(image).__name__}; expected a PIL image or an array"
            ) from None
        shape = tuple(array.shape)
        if array.is_floating_point() and len(shape) == 3 and shape[0] == self._num_channels:
            return array.float()
        if array.dtype == torch.uint8 and not ready:
            # The channels are last, as in files, or first, as torch has them.
            last = array.permute(1, 2, 0) if len(shape) == 3 and shape[-1] not in (1, 3, 4) else array
            if len(shape) == 2 or (len(shape) == 3 and last.shape[-1] in (1, 3, 4)):
                grey = len(shape) == 3 and last.shape[-1] == 1
                return self._image(Image.fromarray((last[..., 0] if grey else last).numpy()), row, ready)
        raise UnlearningError(
            f"the {PIXELS if ready else 'image'} of {self._name(row)} is of {str(array.dtype).removeprefix('torch.')} "
            f"and shape {shape}; expected floats of shape ({self._num_channels}, height, width), ready for the model"
        )

    def _preprocess(self, images: list[Any], rows: Sequence[int]) -> torch.Tensor:
        pictures = [place for place, image in enumerate(images) if isinstance(image, Image.Image)]
        if pictures and self.image_processor is None:
            raise UnlearningError("processing_class is None; expected the model's image processor")
        names = [self._name(row) for row in rows]
        if pictures:
            some = [images[place] for place in pictures]
            made = to_pixels(self.image_processor, some, self._num_channels, [names[place] for place in pictures])
            images = list(images)
            for place, pixels in zip(pictures, made, strict=True):
                images[place] = pixels
        for place, image in enumerate(images):
            self._first = self._first or (int(rows[place]), tuple(image.shape))
            if tuple(image.shape) != self._first[1]:
                first, shape = self._first
                raise UnlearningError(
                    f"pixel_values are of several shapes: {shape} of {self._name(first)} and {tuple(image.shape)} of "
                    f"{names[place]}; expected one"
                )
        return torch.stack(list(images))

    def _class_id(self, label: Any, row: int) -> int:
        if isinstance(label, str):
            if label not in self._ids_of_names:
                (self._ids_of_names[label],) = match_labels([label], self._id2label, complete=False)
            return self._ids_of_names[label]
        array = np.asarray(label)
        if array.size != 1 or array.dtype.kind not in "iub":
            raise UnlearningError(
                f"the label of {self._name(row)} is {one_line(ValueError(label), 60)}; expected a class id of the "
                "model, or a name"
            )
        class_id = int(array.reshape(-1)[0])
        if not 0 <= class_id < len(self._id2label):
            raise UnlearningError(
                f"the label of {self._name(row)} is {class_id}; expected a class id of the model, 0 to "
                f"{len(self._id2label) - 1}"
            )
        return class_id

    def _name(self, row: int) -> str:
        return f"sample {int(row)} of the dataset"


def is_image_alone(sample: Any) -> bool:
    """Whether a sample is an image and nothing else, or a tuple of one thing."""
    if isinstance(sample, (tuple, list)):
        return len(sample) == 1
    return isinstance(sample, BARE)
