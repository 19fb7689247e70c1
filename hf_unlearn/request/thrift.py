"""Thrift's compact protocol, as far as the metadata of parquet files takes it: any struct, read and written again.

A struct is a dict of (type, value) by field id, and a list is a pair of its elements' type and their values. No names
are known here, so it does not matter which version of the format a file is of.
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
Struct = dict[int, tuple[int, Any]]


def read_struct(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """The struct that begins at `at`, and where it ends.

    Raises:
        ValueError: it is no such thing.
    """
    reader = _Reader(data, at)
    try:
        return reader.struct(), reader.at
    except IndexError as error:
        raise ValueError("the data end within a struct") from error


def write_struct(fields: Struct) -> bytes:
    """The bytes of a struct."""
    out = bytearray()
    last = 0
    for field, (kind, value) in sorted(fields.items()):
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        if 0 < field - last <= 15:
            out.append((field - last) << 4 | kind)
        else:
            out.append(kind)
            out += _varint(_zigzag(field))
        last = field
        if kind not in (TRUE, FALSE):
            out += _value(kind, value)
    out.append(0)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes, at: int):
        self.data = data
        self.at = at

    def struct(self) -> Struct:
        fields: Struct = {}
        field = 0
        while head := self.byte():
            kind = head & 15
            field = field + (head >> 4) if head >> 4 else self.number()
            fields[field] = (kind, kind == TRUE if kind in (TRUE, FALSE) else self.value(kind))
        return fields

    def value(self, kind: int) -> Any:
        if kind in (TRUE, FALSE, BYTE):
            return self.byte()
        if kind in (I16, I32, I64):
            return self.number()
        if kind == DOUBLE:
            return self.take(8)
        if kind == BINARY:
            return self.take(self.varint())
        if kind in (LIST, SET):
            head = self.byte()
            size = head >> 4 if head >> 4 < 15 else self.varint()
            return head & 15, [self.value(head & 15) for _ in range(size)]
        if kind == MAP:
            size = self.varint()
            kinds = self.byte() if size else 0
            return kinds, [(self.value(kinds >> 4), self.value(kinds & 15)) for _ in range(size)]
        if kind == STRUCT:
            return self.struct()
        raise ValueError(f"there is no type {kind}")

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise IndexError
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def varint(self) -> int:
        found = shift = 0
        while True:
            byte = self.byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    def number(self) -> int:
        found = self.varint()
        return (found >> 1) ^ -(found & 1)


def _value(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE, BYTE):
        return bytes([value & 255])
    if kind in (I16, I32, I64):
        return _varint(_zigzag(value))
    if kind == DOUBLE:
        return value
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind in (LIST, SET):
        element, values = value
        head = (
            bytes([len(values) << 4 | element]) if len(values) < 15 else bytes([240 | element]) + _varint(len(values))
        )
        return head + b"".join(_value(element, each) for each in values)
    if kind == MAP:
        kinds, pairs = value
        body = b"".join(_value(kinds >> 4, key) + _value(kinds & 15, each) for key, each in pairs)
        return _varint(len(pairs)) + (bytes([kinds]) if pairs else b"") + body
    return write_struct(value)


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
