"""Encoded images: checking that they decode, and recognising the same sample elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.labels import label_array

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

_BATCH_SIZE = 256


def encoded_images(dataset: Dataset, image_column: str, description: str) -> Iterator[dict[str, Any]]:
    """Every image as stored, not decoded: {"bytes": ..., "path": ...}, of which one may be None."""
    batches = dataset.select_columns([image_column]).with_format("arrow").iter(batch_size=_BATCH_SIZE)
    # disable=None hides the bar when the output is not a terminal.
    with tqdm(total=len(dataset), desc=description, unit="image", delay=2, disable=None) as bar:
        for batch in batches:
            for image in batch[image_column].to_pylist():
                yield image or {"bytes": None, "path": None}
                bar.update()


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
        UnlearningError: if an image is missing or does not decode; it names the first by its index.
    """
    from datasets import Image

    decoder = Image()
    for row, image in enumerate(encoded_images(dataset, image_column, "Checking images")):
        index = row if indices is None else int(indices[row])
        if image["bytes"] is None and image["path"] is None:
            raise UnlearningError(f"the image at index {index} of {what} is missing")
        try:
            decoder.decode_example(image).close()
        # Decoders raise nearly anything on a broken file: OSError, SyntaxError, struct.error, IndexError...
        except Exception as error:
            # What the decoder says may hold the address of a buffer; its kind is enough.
            raise UnlearningError(
                f"the image at index {index} of {what} is corrupt and cannot be decoded ({type(error).__name__})"
            ) from error


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
    digests = []
    labels = label_array(dataset, label_column)
    for row, image in enumerate(encoded_images(dataset, image_column, "Matching samples")):
        content = image["bytes"]
        if content is None:
            try:
                content = Path(image["path"]).read_bytes()
            except (OSError, TypeError) as error:
                raise UnlearningError(f"the image at index {row} cannot be read: {error}") from error
        label = int(labels[row])
        key = label.to_bytes(8, "little") if names is None else names[label].encode() + b"\0"
        digests.append(hashlib.sha256(key + content).digest())
    return digests


def samples_sha256(dataset: Dataset, image_column: str, label_column: str, names: Sequence[str] | None = None) -> str:
    """sha256 over all samples (see `sample_digests`) in whatever order they come, in hexadecimal."""
    return hashlib.sha256(b"".join(sorted(sample_digests(dataset, image_column, label_column, names)))).hexdigest()
