"""Some columns, and some rows of a column, of a parquet file far away: no more is fetched than they take.

pyarrow reads whole chunks of a column, which hold a row group's worth of images (100 MB, as `datasets` writes them).
Files that have a page index say where in a chunk the pages of some rows are (about 1 MB each). These pages, with the
part of the footer that describes them, are a parquet file of their own, which pyarrow reads.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hf_unlearn.request.thrift import I32, I64, LIST, STRUCT, Struct, read_struct, write_struct

_MAGIC = b"PAR1"
# How much of a file's end is fetched at first; most footers are within.
_TAIL = 8192
# Field ids of parquet.thrift, which says what all of them are.
_VERSION, _SCHEMA, _NUM_ROWS, _ROW_GROUPS, _CREATED_BY = 1, 2, 3, 4, 6
_REPETITION, _NAME, _NUM_CHILDREN, _REPEATED = 3, 4, 5, 2
_COLUMNS, _GROUP_BYTES, _GROUP_ROWS = 1, 2, 3
_FILE_OFFSET, _COLUMN, _INDEX_AT, _INDEX_BYTES = 2, 3, 4, 5
_PATH, _NUM_VALUES, _COMPRESSED, _DATA_AT, _DICTIONARY_AT = 3, 5, 7, 9, 11
# Of a column's metadata: type, encodings, path, codec, sizes and places; not its statistics.
_KEPT = (1, 2, 3, 4, 5, 6, 7, 9, 11)
_PAGES, _PAGE_AT, _PAGE_BYTES, _PAGE_ROW = 1, 1, 2, 3


class Piece(NamedTuple):
    """Consecutive bytes of a file, and the rows of the row group whose values they hold: `first` to `end` − 1."""

    at: int
    size: int
    first: int
    end: int


class ParquetFile:
    """A parquet file, of which only the end was read yet.

    Args:
        file: seekable, and open for reading bytes; each read fetches just what it asks for.
        size: of the file, in bytes.

    Raises:
        ValueError: it is no parquet file.
    """

    def __init__(self, file: Any, size: int):
        self._file = file
        self._tail_at, self._tail = size, b""
        tail = self._fetch(max(0, size - _TAIL), min(size, _TAIL))
        if len(tail) < 12 or tail[-4:] != _MAGIC:
            raise ValueError("it is no parquet file")
        (length,) = struct.unpack("<I", tail[-8:-4])
        if length + 8 > len(tail):
            tail = self._fetch(size - length - 8, length + 8 - len(tail)) + tail
        # What comes before the footer is the page index, which is asked for next.
        self._tail_at, self._tail = size - len(tail), tail
        self._footer = tail[len(tail) - length - 8 : -8]
        self._head, _ = read_struct(self._footer)
        self._groups: list[Struct] = self._head[_ROW_GROUPS][1][1]

    @cached_property
    def _reader(self) -> Any:
        import pyarrow
        import pyarrow.parquet

        whole = pyarrow.BufferReader(_MAGIC + _with_length(self._footer))
        # With the footer at hand it is not fetched again.
        return pyarrow.parquet.ParquetFile(self._file, metadata=pyarrow.parquet.read_metadata(whole))

    @property
    def schema(self) -> Any:
        """As a `pyarrow.Schema`, with what `datasets` wrote of its features."""
        return self._reader.schema_arrow

    @property
    def group_sizes(self) -> list[int]:
        """The number of rows of every row group."""
        return [group[_GROUP_ROWS][1] for group in self._groups]

    def columns(self, names: Sequence[str]) -> Any:
        """Whole columns, as a `pyarrow.Table`."""
        return self._reader.read(columns=list(names))

    def pieces(self, leaf: Sequence[str], group: int, rows: np.ndarray) -> list[Piece]:
        """Where the values of some rows are, in order; pieces that touch are one.

        Args:
            leaf: the path of a column that holds one value a row, `("image", "bytes")`.
            group: the number of the row group.
            rows: sorted positions in the row group, int64.

        Raises:
            ValueError: there is no such column.
        """
        found: list[Piece] = []
        for page in self._pages(self._chunk(leaf, group), self.group_sizes[group]):
            if np.searchsorted(rows, page.end) == np.searchsorted(rows, page.first):
                continue
            if found and (found[-1].at + found[-1].size, found[-1].end) == (page.at, page.first):
                before = found.pop()
                page = Piece(before.at, before.size + page.size, before.first, page.end)
            found.append(page)
        return found

    def values(self, leaf: Sequence[str], group: int, rows: np.ndarray, pieces: Sequence[Piece]) -> Any:
        """The values of these rows, in order, as a `pyarrow.ChunkedArray`.

        Args:
            leaf, group, rows: as for [`pieces`].
            pieces: what that gave.
        """
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet

        chunk = self._chunk(leaf, group)
        column = {field: value for field, value in chunk[_COLUMN][1].items() if field in _KEPT}
        start, data_at = _start(column), column[_DATA_AT][1]
        # A dictionary comes before the first page, and the pages need it.
        dictionary = self._fetch(start, data_at - start)
        body = dictionary + b"".join(self._fetch(piece.at, piece.size) for piece in pieces)
        there = np.concatenate([np.arange(piece.first, piece.end) for piece in pieces])
        column |= {
            _NUM_VALUES: (I64, len(there)),
            _COMPRESSED: (I64, len(body)),
            _DATA_AT: (I64, len(_MAGIC) + len(dictionary)),
        }
        if dictionary:
            column[_DICTIONARY_AT] = (I64, len(_MAGIC))
        one = {_FILE_OFFSET: (I64, 0), _COLUMN: (STRUCT, column)}
        row_group = {
            _COLUMNS: (LIST, (STRUCT, [one])),
            _GROUP_BYTES: (I64, len(body)),
            _GROUP_ROWS: (I64, len(there)),
        }
        head = {field: value for field, value in self._head.items() if field in (_VERSION, _CREATED_BY)} | {
            _SCHEMA: (LIST, (STRUCT, self._schema_of(leaf))),
            _NUM_ROWS: (I64, len(there)),
            _ROW_GROUPS: (LIST, (STRUCT, [row_group])),
        }
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(_MAGIC + body + _with_length(write_struct(head))))
        found = table.column(0) if len(leaf) == 1 else pyarrow.compute.struct_field(table.column(0), list(leaf[1:]))
        return found.take(np.searchsorted(there, rows))

    def _chunk(self, leaf: Sequence[str], group: int) -> Struct:
        path = [name.encode() for name in leaf]
        for chunk in self._groups[group][_COLUMNS][1][1]:
            if chunk[_COLUMN][1][_PATH][1][1] == path:
                return chunk
        raise ValueError(f"it has no column {'.'.join(leaf)!r}")

    def _pages(self, chunk: Struct, num_rows: int) -> list[Piece]:
        """The pages of a chunk; without a page index all of them as one."""
        column = chunk[_COLUMN][1]
        if _INDEX_AT not in chunk:
            at = column[_DATA_AT][1]
            return [Piece(at, _start(column) + column[_COMPRESSED][1] - at, 0, num_rows)]
        index, _ = read_struct(self._fetch(chunk[_INDEX_AT][1], chunk[_INDEX_BYTES][1]))
        pages = index[_PAGES][1][1]
        firsts = [page[_PAGE_ROW][1] for page in pages]
        return [
            Piece(page[_PAGE_AT][1], page[_PAGE_BYTES][1], first, end)
            for page, first, end in zip(pages, firsts, [*firsts[1:], num_rows], strict=True)
        ]

    def _schema_of(self, leaf: Sequence[str]) -> list[Struct]:
        """The schema's elements from its root to one leaf, each with the next one as its only child."""
        elements, kept, at = self._head[_SCHEMA][1][1], [], 0
        for depth, name in enumerate(["", *leaf]):
            if depth:
                # The children of the element before, one after the other, each followed by its own.
                children, at = elements[at][_NUM_CHILDREN][1], at + 1
                while children and elements[at][_NAME][1] != name.encode():
                    at, children = _after(elements, at), children - 1
                if elements[at][_REPETITION][1] == _REPEATED:
                    raise ValueError(f"its column {'.'.join(leaf)!r} holds several values a row")
            kept.append(dict(elements[at]))
            if depth < len(leaf):
                kept[-1][_NUM_CHILDREN] = (I32, 1)
        return kept

    def _fetch(self, at: int, size: int) -> bytes:
        if at >= self._tail_at:
            return self._tail[at - self._tail_at : at - self._tail_at + size]
        if not size:
            return b""
        self._file.seek(at)
        return self._file.read(size)


def _after(elements: Sequence[Struct], at: int) -> int:
    """The place after a schema's element and all below it."""
    children = elements[at].get(_NUM_CHILDREN, (I32, 0))[1]
    at += 1
    for _ in range(children):
        at = _after(elements, at)
    return at


def _start(column: Struct) -> int:
    """Where a column chunk begins: with its dictionary, if it has one, else with its first page."""
    dictionary_at, data_at = column.get(_DICTIONARY_AT, (I64, 0))[1], column[_DATA_AT][1]
    return dictionary_at if 0 < dictionary_at < data_at else data_at


def _with_length(footer: bytes) -> bytes:
    return footer + struct.pack("<I", len(footer)) + _MAGIC
