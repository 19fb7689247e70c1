"""Turn Debian's `dataset-fashion-mnist` files into a saved `datasets` dataset.

    python scripts/make_fashion_mnist.py --output_dir fashion_mnist

The result loads with `datasets.load_from_disk` and has the splits `train` and `test` with three columns:
`image` (28 x 28, greyscale, PNG), `label` (ten garments) and `superclass` (five groups of them, for sub-class
requests).
"""

from __future__ import annotations

import argparse
import gzip
import io
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saved_datasets import add_output_flags, check_output_dir, save

from hf_unlearn.errors import UnlearningError

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset, DatasetDict, Features

DEFAULT_SOURCE = "/usr/share/datasets/fashion-mnist"

LABELS = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
SUPERCLASSES = {
    "tops": ("T-shirt/top", "Pullover", "Coat", "Shirt"),
    "trousers": ("Trouser",),
    "dress": ("Dress",),
    "footwear": ("Sandal", "Sneaker", "Ankle boot"),
    "bag": ("Bag",),
}
FILE_PREFIXES = {"train": "train", "test": "t10k"}

# The idx format's type code for unsigned bytes, the only one these files use.
IDX_UINT8 = 0x08


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in a gzipped idx file, with the shape its header gives."""
    import numpy as np

    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UnlearningError(f"cannot read {str(path)!r}: {error}") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, IDX_UINT8]):
        raise UnlearningError(f"{str(path)!r} is not an idx file of unsigned bytes")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UnlearningError(f"{str(path)!r} ends inside its header")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    values = np.frombuffer(content, dtype=np.uint8, offset=header)
    if values.size != np.prod(shape, dtype=np.int64):
        raise UnlearningError(f"{str(path)!r} has {values.size} values where its header says {shape}")
    return values.reshape(shape)


def source_files(source: Path) -> dict[str, tuple[Path, Path]]:
    """The image and the label file of each split; an error names those that are missing."""
    files = {
        split: (source / f"{prefix}-images-idx3-ubyte.gz", source / f"{prefix}-labels-idx1-ubyte.gz")
        for split, prefix in FILE_PREFIXES.items()
    }
    missing = [path.name for pair in files.values() for path in pair if not path.is_file()]
    if missing:
        raise UnlearningError(
            f"{str(source)!r} lacks {', '.join(missing)}: apt-get install dataset-fashion-mnist, or name the "
            "folder that has them with --source"
        )
    return files


def features() -> Features:
    """The columns of the dataset."""
    from datasets import ClassLabel, Features, Image

    return Features(
        {
            "image": Image(),
            "label": ClassLabel(names=LABELS),
            "superclass": ClassLabel(names=list(SUPERCLASSES)),
        }
    )


def make_split(images: np.ndarray, labels: np.ndarray, max_samples: int | None = None) -> Dataset:
    """One split, from images of shape (n, height, width) and labels of shape (n,), both uint8."""
    from datasets import Dataset
    from PIL import Image
    from tqdm import tqdm

    is_split = images.ndim == 3 and labels.shape == images.shape[:1] and (labels < len(LABELS)).all()
    if not is_split:
        raise UnlearningError(
            f"images of shape {images.shape} and labels of shape {labels.shape} are not a split of Fashion-MNIST"
        )
    superclass_of = {label: group for group, (_, members) in enumerate(SUPERCLASSES.items()) for label in members}
    superclass_ids = [superclass_of[label] for label in LABELS]

    def rows() -> Iterator[dict[str, Any]]:
        pairs = zip(images[:max_samples], labels[:max_samples], strict=True)
        # disable=None hides the bar when the output is not a terminal.
        bar = tqdm(pairs, total=len(labels[:max_samples]), unit="image", delay=2, disable=None)
        for pixels, label in bar:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format="PNG")
            yield {
                "image": {"bytes": buffer.getvalue(), "path": None},
                "label": int(label),
                "superclass": superclass_ids[label],
            }

    # From a list and not `Dataset.from_generator`: that one caches by a hash of its closure, outside the
    # output.
    return Dataset.from_list(list(rows()), features=features())


def make_dataset(
    source: Path, max_train_samples: int | None = None, max_test_samples: int | None = None
) -> DatasetDict:
    """The whole dataset, from the four idx files in the folder `source`."""
    from datasets import DatasetDict

    limits = {"train": max_train_samples, "test": max_test_samples}
    return DatasetDict(
        {
            split: make_split(read_idx(images), read_idx(labels), limits[split])
            for split, (images, labels) in source_files(source).items()
        }
    )


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Turn Debian's dataset-fashion-mnist into a saved dataset.")
    parser.add_argument("--source", type=Path, default=Path(DEFAULT_SOURCE), help="folder of the four idx .gz files")
    add_output_flags(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    output_dir = args.output_dir.expanduser().resolve()
    try:
        check_output_dir(output_dir, args.overwrite_output_dir)
        save(make_dataset(args.source, args.max_train_samples, args.max_test_samples), output_dir)
    except UnlearningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
