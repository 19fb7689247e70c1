"""The fingerprint of a request on a dataset, by which the same request is recognised later."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.request.labels import label_array, label_names

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Fingerprint:
    """What was forgotten from what; equal requests have equal `id`s. It names no sample and no person.

    It is not for publishing as it is: a digest hides nothing that can be tried. Whoever holds the dataset can try all
    pairs of samples, all values of a column and all seeds; `hf_unlearn.publishing.secrecy` says what goes out.

    Attributes:
        dataset_name: the name on the Hub, or only the last part of a local path; None if it was not given.
        dataset_config_name: the configuration that was loaded, if any was named.
        dataset_revision: the commit of the dataset, if known.
        dataset_fingerprint: `content_fingerprint` of the train split, in hexadecimal.
        train_split: the split that the indices count in.
        request: the request's summary, with classes by name.
        sha256: of the sorted indices in the train split as little-endian int64, in hexadecimal.
        num_forget: the number of samples in the forget set.
    """

    dataset_name: str | None
    dataset_config_name: str | None
    dataset_revision: str | None
    dataset_fingerprint: str
    train_split: str
    request: dict[str, Any]
    sha256: str
    num_forget: int

    @property
    def id(self) -> str:
        """sha256, in hexadecimal, of the canonical JSON of everything else."""
        return hashlib.sha256(canonical_json(asdict(self)).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Everything and the `id`, as JSON can hold it."""
        return {**asdict(self), "id": self.id}


def canonical_json(value: object) -> str:
    """The one way of writing a value as JSON: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def indices_sha256(indices: np.ndarray) -> str:
    """sha256 of the sorted indices as little-endian int64, in hexadecimal."""
    return hashlib.sha256(np.sort(indices).astype("<i8").tobytes()).hexdigest()


def content_fingerprint(dataset: Dataset, label_column: str, *others: Dataset) -> str:
    """A digest of the rows' labels, the label names and the names of the columns, in hexadecimal.

    It stays the same when the dataset is loaded again, moved, or converted between Arrow and parquet, where
    `Dataset._fingerprint` changes. It reads no image: datasets that differ in their pixels alone share it.
    """
    digest = hashlib.sha256()
    for part in (dataset, *others):
        header = {
            "num_rows": len(part),
            "columns": sorted(part.column_names),
            "label_column": label_column,
            "label_names": label_names(part, label_column),
        }
        digest.update(canonical_json(header).encode())
        digest.update(label_array(part, label_column).astype("<i8").tobytes())
    return digest.hexdigest()
