"""Streaming datasets of the `datasets` library, read into memory up to a limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_unlearn.errors import UnlearningError, one_line

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

# A stream of more than this is refused.
STREAM_GIB = 2.0
_ROWS = 100


def materialised(stream: IterableDataset, what: str, most_gib: float | None = None) -> Dataset:
    """All of a stream in memory, its images encoded as they came.

    Args:
        stream: a `datasets.IterableDataset`.
        what: what messages call it.
        most_gib: a larger one is refused; by default `STREAM_GIB`.

    Raises:
        UnlearningError: it is larger, empty, or cannot be read.
    """
    import pyarrow
    from datasets import Dataset, DatasetInfo, Image
    from datasets.table import InMemoryTable

    most_gib = STREAM_GIB if most_gib is None else most_gib
    try:
        if stream.features is None:
            stream = stream._resolve_features()
        features = stream.features
        for column, feature in (features or {}).items():
            if isinstance(feature, Image):
                stream = stream.cast_column(column, Image(decode=False))
        tables, size = [], 0
        for table in stream.with_format("arrow").iter(batch_size=_ROWS):
            tables.append(table)
            size += table.nbytes
            if size > most_gib * 2**30:
                raise UnlearningError(
                    f"{what} is a stream of more than {most_gib:g} GiB, and would be read into memory; expected a "
                    "dataset that is not streaming, or stream.take(n)"
                )
    except UnlearningError:
        raise
    # Whatever a source far away raises.
    except Exception as error:
        raise UnlearningError(f"{what} is a stream that cannot be read: {one_line(error)}") from error
    if not tables:
        raise UnlearningError(f"{what} is a stream without a sample")
    table = pyarrow.concat_tables(tables)
    if features is not None:
        table = table.cast(features.arrow_schema)
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features))


class Materialised(Mapping[str, Any]):
    """The splits of a dataset, those that are streams read into memory once they are asked for.

    Args:
        splits: a `DatasetDict` or `IterableDatasetDict`.
    """

    def __init__(self, splits: Mapping[str, Any]):
        self._splits = dict(splits)

    def __getitem__(self, name: str) -> Any:
        from datasets import IterableDataset

        if isinstance(self._splits[name], IterableDataset):
            self._splits[name] = materialised(self._splits[name], f"the split {name!r}")
        return self._splits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)
