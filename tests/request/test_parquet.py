"""Rows of a parquet file far away: the same as pyarrow reads, and no more bytes than they take."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.request.parquet import ParquetFile
from hf_unlearn.request.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    MAP,
    STRUCT,
    TRUE,
    read_struct,
    write_struct,
)


class Counted(io.BytesIO):
    """A file that knows how much of it was read."""

    taken = 0

    def read(self, size=-1, /):
        found = super().read(size)
        self.taken += len(found)
        return found


def scalars():
    whole = st.integers(-(2**31), 2**31 - 1)
    return st.one_of(
        st.tuples(st.sampled_from([TRUE, FALSE]), st.booleans()).map(
            lambda both: (TRUE if both[1] else FALSE, both[1])
        ),
        st.tuples(st.just(BYTE), st.integers(0, 255)),
        st.tuples(st.sampled_from([I16, I32, I64]), whole),
        st.tuples(st.just(DOUBLE), st.binary(min_size=8, max_size=8)),
        st.tuples(st.just(BINARY), st.binary(max_size=300)),
        st.tuples(st.just(LIST), st.tuples(st.just(I32), st.lists(whole, max_size=40))),
        st.tuples(
            st.just(MAP),
            st.lists(st.tuples(whole, st.binary(max_size=3)), min_size=1, max_size=3).map(
                lambda pairs: (I32 << 4 | BINARY, pairs)
            ),
        ),
    )


def structs(children):
    fields = st.dictionaries(st.integers(1, 300), children, max_size=6)
    return fields.map(lambda found: (STRUCT, found))


@given(st.recursive(scalars(), structs, max_leaves=12).filter(lambda both: both[0] == STRUCT))
def test_a_struct_is_read_as_it_was_written(value):
    data = write_struct(value[1])
    assert read_struct(b"xx" + data + b"yy", 2) == (value[1], 2 + len(data))


@given(st.binary(max_size=40))
def test_what_is_no_struct_is_refused_or_read(data):
    try:
        found, end = read_struct(data)
    except ValueError:
        return
    assert end <= len(data) and read_struct(write_struct(found))[0] == found


def written(num_rows=400, row_group_size=250, image_bytes=3000, **settings):
    """A file with a column of bytes in a struct, some rows without, and the table that it holds."""
    rng = np.random.default_rng(num_rows)
    images = [
        None if row % 37 == 5 else {"bytes": rng.bytes(image_bytes + row % 7), "path": f"{row}.jpg"}
        for row in range(num_rows)
    ]
    images_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "tags": pa.array([["a"] * (row % 3) for row in range(num_rows)]),
            "image": pa.array(images, type=images_type),
            "label": pa.array([row // 40 for row in range(num_rows)]),
            "name": pa.array([f"p{row % 5}" for row in range(num_rows)]),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=row_group_size, **settings)
    return buffer.getvalue(), table


PAGED = {"write_page_index": True, "data_page_size": 10_000, "write_batch_size": 4}
FORMS = {
    "pages": PAGED,
    "pages, version 2, uncompressed": {**PAGED, "data_page_version": "2.0", "compression": "NONE"},
    "pages without dictionary, zstd": {**PAGED, "use_dictionary": False, "compression": "zstd"},
    "no page index": {},
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_those_that_pyarrow_reads(form):
    data, table = written(**FORMS[form])
    source = ParquetFile(Counted(data), len(data))
    assert source.group_sizes == [250, 150] and source.schema.names == table.schema.names
    assert source.columns(["label"]).equals(table.select(["label"]))
    rng = np.random.default_rng(0)
    for leaf in (("image", "bytes"), ("image", "path"), ("label",), ("name",)):
        expected = table[leaf[0]].to_pylist()
        if len(leaf) > 1:
            expected = [row and row[leaf[1]] for row in expected]
        for group, start in enumerate((0, 250)):
            size = source.group_sizes[group]
            chosen = [np.array([0]), np.array([size - 1]), np.arange(size), np.arange(40, 80), np.array([5, 42])]
            for rows in [*chosen, *(np.sort(rng.choice(size, count, replace=False)) for count in (3, 20))]:
                pieces = source.pieces(leaf, group, rows)
                found = source.values(leaf, group, rows, pieces).to_pylist()
                assert found == [expected[start + row] for row in rows]


@pytest.mark.parametrize("dictionary", [True, False])
def test_few_rows_take_few_bytes(dictionary):
    data, table = written(num_rows=1000, row_group_size=1000, **{**PAGED, "use_dictionary": dictionary})
    file = Counted(data)
    source = ParquetFile(file, len(data))
    assert file.taken <= 8192
    rows, leaf = np.arange(400, 480), ("image", "bytes")
    pieces = source.pieces(leaf, 0, rows)
    before = file.taken
    source.values(leaf, 0, rows, pieces)
    wanted = sum(len(row["bytes"]) for row in table["image"][400:480].to_pylist() if row)
    dictionary_bytes = 0
    if dictionary:
        column = pq.read_metadata(io.BytesIO(data)).row_group(0).column(1)
        dictionary_bytes = column.data_page_offset - (column.dictionary_page_offset or column.data_page_offset)
    assert file.taken - before == sum(piece.size for piece in pieces) + dictionary_bytes
    assert file.taken - before < 1.5 * wanted + dictionary_bytes


def test_what_cannot_be_read_is_refused():
    data, _ = written(num_rows=20, row_group_size=20)
    source = ParquetFile(Counted(data), len(data))
    with pytest.raises(ValueError, match="no column 'picture'"):
        source.pieces(("picture",), 0, np.array([1]))
    leaf = ("tags", "list", "element")
    pieces = source.pieces(leaf, 0, np.array([1]))
    with pytest.raises(ValueError, match="several values a row"):
        source.values(leaf, 0, np.array([1]), pieces)
    for wrong in (b"", b"PAR1", b"x" * 100, data[:-9]):
        with pytest.raises(ValueError, match="no parquet file"):
            ParquetFile(Counted(wrong), len(wrong))
