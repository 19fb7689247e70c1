"""Small image datasets, made in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as PilImage

ANIMALS = ["cat", "dog", "owl"]
FINE = ["tabby", "siamese", "poodle", "beagle", "barn owl"]
# The fine label of a row, by its coarse label and whether the row's number is even.
FINE_OF = {0: (0, 1), 1: (2, 3), 2: (4, 4)}


def png(seed: int) -> bytes:
    """A small picture, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    PilImage.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def make_split(labels: Sequence[int], first_image: int = 0, names: Sequence[str] = ANIMALS) -> Dataset:
    """Rows with the given labels, pictures of the seeds from `first_image` on, fine labels and an owner."""
    rows: dict[str, list[Any]] = {
        "image": [{"bytes": png(first_image + row), "path": None} for row in range(len(labels))],
        "label": list(labels),
        "fine": [FINE_OF.get(label, (0, 0))[row % 2] for row, label in enumerate(labels)],
        "owner": [40 + row % 4 for row in range(len(labels))],
        "country": ["fr" if row % 3 else "it" for row in range(len(labels))],
    }
    features = Features(
        {
            "image": Image(),
            "label": ClassLabel(names=list(names)),
            "fine": ClassLabel(names=FINE),
            "owner": Value("int64"),
            "country": Value("string"),
        }
    )
    return Dataset.from_dict(rows, features=features)


@pytest.fixture(scope="session")
def split() -> Callable[..., Dataset]:
    return make_split


@pytest.fixture(scope="session")
def animals() -> DatasetDict:
    """18 train rows (labels 0, 1, 2, 0, 1, 2, ...) and 6 test rows."""
    return DatasetDict({"train": make_split([0, 1, 2] * 6), "test": make_split([0, 1, 2] * 2, first_image=100)})
