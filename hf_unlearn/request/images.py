"""Encoded images: checking that they decode, and recognising the same sample elsewhere."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from hf_unlearn.errors import UnlearningError, one_line, warn_once
from hf_unlearn.files import NOT_FETCHED, is_pointer
from hf_unlearn.request.columns import as_image_column
from hf_unlearn.request.image_modes import as_mode
from hf_unlearn.request.labels import label_array

if TYPE_CHECKING:
    import PIL.Image
    from datasets import Dataset

_BATCH_SIZE = 256
# Threads; decoding does not hold Python's lock.
DECODERS = min(4, os.cpu_count() or 1)


class UnreadableImage(UnlearningError):
    """An image is missing or cannot be decoded."""


def encoded_images(dataset: Dataset, image_column: str, description: str) -> Iterator[dict[str, Any]]:
    """Every image as stored, not decoded: {"bytes": ..., "path": ...}, of which one may be None."""
    images = as_image_column(dataset.select_columns([image_column]), image_column)
    batches = images.with_format("arrow").iter(batch_size=_BATCH_SIZE)
    # disable=None hides the bar when the output is not a terminal.
    with tqdm(total=len(dataset), desc=description, unit="image", delay=2, disable=None) as bar:
        for batch in batches:
            for image in batch[image_column].to_pylist():
                yield image or {"bytes": None, "path": None}
                bar.update()


def read_image(encoded: Mapping[str, Any] | None, mode: str = "RGB", stored_mode: str | None = None) -> PIL.Image.Image:
    """An image as stored, decoded, upright and in the mode that a model takes (see [`as_mode`]).

    Args:
        encoded: {"bytes": ..., "path": ...}, or None.
        mode: `"RGB"` or `"L"`.
        stored_mode: the mode that its column is declared to have, if any.

    Raises:
        UnreadableImage: it is missing or does not decode, for whatever reason.
    """
    from datasets import Image

    if encoded is None or (encoded["bytes"] is None and encoded["path"] is None):
        raise UnreadableImage("is missing")
    try:
        image = Image().decode_example(dict(encoded))
        return as_mode(as_mode(image, stored_mode) if stored_mode else image, mode)
    # Decoders raise nearly anything on a broken file: OSError, SyntaxError, struct.error, DecompressionBombError...
    except Exception as error:
        # Whoever looks for it in a folder knows files, not rows.
        file = "" if encoded["bytes"] is not None else f"({os.path.basename(encoded['path'])!r}) "
        if is_pointer(encoded["bytes"] or encoded["path"] or b""):
            raise UnreadableImage(f"{file}{NOT_FETCHED}") from error
        raise UnreadableImage(f"{file}cannot be read: {one_line(error)}") from error


def unreadable_images(dataset: Dataset, image_column: str) -> Iterator[tuple[int, UnreadableImage]]:
    """The row and the fault of every image that is missing or does not decode, in order.

    Args:
        dataset: the samples to look at; all of them are decoded, by several threads.
        image_column: its column of images.
    """

    def fault(encoded: dict[str, Any]) -> UnreadableImage | None:
        try:
            read_image(encoded)
        except UnreadableImage as error:
            return error
        return None

    images = encoded_images(dataset, image_column, "Checking images")
    with ThreadPoolExecutor(DECODERS) as pool:
        # Not all at once: what is stored may be larger than the memory.
        for start in range(0, len(dataset), _BATCH_SIZE):
            for row, found in enumerate(pool.map(fault, itertools.islice(images, _BATCH_SIZE)), start):
                if found is not None:
                    yield row, found


def verify_images(
    dataset: Dataset,
    image_column: str,
    indices: Sequence[int] | np.ndarray | None = None,
    what: str = "the train split",
) -> None:
    """Decode every image, so that a corrupt one is found before any work is done.

    Args:
        dataset: the samples to check, for instance the forget set.
        image_column: its column of images.
        indices: the position of each row in the original split, for the message; shape (rows,). By default
            the rows are taken to be the original split.
        what: the name of the original split, for the message.

    Raises:
        UnreadableImage: if an image is missing or does not decode; it names the first by its index.
    """
    for row, fault in unreadable_images(dataset, image_column):
        index = row if indices is None else int(indices[row])
        raise UnreadableImage(f"the image at index {index} of {what} {fault}") from fault.__cause__


def readable_rows(dataset: Dataset, image_column: str, indices: np.ndarray, what: str, part: str) -> np.ndarray:
    """The positions of the images that can be read, sorted int64; how many others there are is said on the log.

    Args:
        indices: the position of each row in the original split, for the message; shape (rows,).
        what: the name of the original split, for the message.
        part: `"forget"`, `"retain"` or `"test"`.

    Raises:
        UnreadableImage: none of them can be read.
    """
    faults = list(unreadable_images(dataset, image_column))
    if faults:
        row, fault = faults[0]
        first = f"the image at index {int(indices[row])} of {what} {fault}"
        if len(faults) == len(dataset):
            raise UnreadableImage(f"no image of the {part} set can be read: {first}")
        warn_once(
            f"{len(faults)} of the {len(dataset)} images of the {part} set cannot be read and are left out; {first}"
        )
    return np.setdiff1d(np.arange(len(dataset)), [row for row, _ in faults])


def sample_digests(
    dataset: Dataset, image_column: str, label_column: str, names: Sequence[str] | None = None
) -> list[bytes]:
    """sha256 of each sample's encoded image bytes and label id: equal for copies of the same file and label.

    The same picture encoded again (other quality, other format) has another digest.

    Args:
        names: by label id; the digests are then of the label's name, whichever id it has.

    Raises:
        UnlearningError: if the file of an image cannot be read.
    """
    labels = label_array(dataset, label_column)
    contents = _contents(dataset, image_column)
    keys = [
        label.to_bytes(8, "little") if names is None else names[label].encode() + b"\0" for label in labels.tolist()
    ]
    return [hashlib.sha256(key + content).digest() for key, content in zip(keys, contents, strict=True)]


def samples_sha256(dataset: Dataset, image_column: str, label_column: str, names: Sequence[str] | None = None) -> str:
    """sha256 over all samples (see `sample_digests`) in whatever order they come, in hexadecimal."""
    return _sha256(sample_digests(dataset, image_column, label_column, names))


def images_sha256(dataset: Dataset, image_column: str) -> str:
    """sha256 over all encoded images in whatever order they come and whatever their labels, in hexadecimal.

    Raises:
        UnlearningError: if the file of an image cannot be read.
    """
    return _sha256([hashlib.sha256(content).digest() for content in _contents(dataset, image_column)])


def _sha256(digests: list[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _contents(dataset: Dataset, image_column: str) -> Iterator[bytes]:
    """Every encoded image."""
    for row, image in enumerate(encoded_images(dataset, image_column, "Matching samples")):
        content = image["bytes"]
        if content is None and image["path"] is None:
            content = b""
        elif content is None:
            try:
                content = Path(image["path"]).read_bytes()
            except OSError as error:
                raise UnreadableImage(f"the image at index {row} cannot be read: {error}") from error
        yield content
