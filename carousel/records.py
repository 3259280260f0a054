"""Records of fixed size, declared once: fields in order, without gaps.

    SlotFormat = Record("<", state=Number(1), digest=Bytes(8), reserved=Const(0, 4))
    SlotFormat.parse(raw).state
    SlotFormat.build({"state": 3, "digest": digest})

A box reads them without waiting for anything to be imported. `as_construct` gives the same declaration in the terms of
the `construct` package: the C declarations of the boot stub are made from it, and it is the oracle of the tests.
"""

from collections.abc import Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal

from carousel.errors import FormatError
from carousel.frozen import Frozen

__all__ = ["Array", "Bits", "Bytes", "Const", "Number", "Record"]


class Number(Frozen):
    """An unsigned number of so many bytes."""

    size: int


class Bytes(Frozen):
    """So many bytes as they are."""

    size: int


class Const(Frozen):
    """A number of `size` bytes, or bytes, that must be just this."""

    value: int | bytes
    size: int


class Array(Frozen):
    """A record or a field several times over."""

    count: int
    of: "Record | Number | Bytes"

    @property
    def size(self) -> int:
        """All of them, in bytes."""
        return self.count * self.of.size


Field = Number | Bytes | Const | Array


class Record:
    """Fields one behind the other; `order` is "<" for little-endian numbers, ">" for big-endian ones."""

    def __init__(self, order: Literal["<", ">"], **fields: Field) -> None:
        self.order = order
        self.fields = fields
        self.size = sum(field.size for field in fields.values())
        self._endian: Literal["little", "big"] = "little" if order == "<" else "big"

    def sizeof(self) -> int:
        """Return the size in bytes."""
        return self.size

    def parse(self, raw: bytes | memoryview) -> SimpleNamespace:
        """Read the first `size` bytes; `FormatError`: `record_size` or `record_constant`."""
        if len(raw) < self.size:
            raise FormatError("record_size")
        raw, at, found = bytes(raw[: self.size]), 0, {}
        for name, field in self.fields.items():
            piece = raw[at : at + field.size]
            at += field.size
            found[name] = self._read(field, piece)
        return SimpleNamespace(**found)

    def _read(self, field: Field, piece: bytes) -> Any:
        if isinstance(field, Bytes):
            return piece
        if isinstance(field, Array):
            size, of = field.of.size, field.of
            pieces = [piece[first : first + size] for first in range(0, len(piece), size)]
            return [of.parse(each) if isinstance(of, Record) else self._read(of, each) for each in pieces]
        if isinstance(field, Number):
            return int.from_bytes(piece, self._endian)
        if piece != self._constant(field):
            raise FormatError("record_constant")
        return field.value

    def build(self, values: Mapping[str, Any]) -> bytes:
        """Return the bytes; constants need no value. `ValueError` if one does not fit."""
        return b"".join(self._written(name, field, values) for name, field in self.fields.items())

    def _written(self, name: str, field: Field, values: Mapping[str, Any]) -> bytes:
        if isinstance(field, Const):
            return self._constant(field)
        value = values[name]
        if isinstance(field, Array):
            of = field.of
            pieces = (
                of.build(each) if isinstance(of, Record) else self._written(name, of, {name: each}) for each in value
            )
            written = b"".join(pieces)
        elif isinstance(field, Number):
            if not 0 <= value < 1 << (8 * field.size):
                raise ValueError(f"{name} = {value} is no number of {field.size} bytes")
            return int(value).to_bytes(field.size, self._endian)
        else:
            written = bytes(value)
        if len(written) != field.size:
            raise ValueError(f"{name} has {len(written)} bytes, not {field.size}")
        return written

    def _constant(self, field: Const) -> bytes:
        return field.value if isinstance(field.value, bytes) else field.value.to_bytes(field.size, self._endian)

    @cached_property
    def as_construct(self) -> Any:
        """The same declaration as a `construct.Struct`."""
        import construct  # noqa: PLC0415  only makers and tests need it

        def declared(field: "Field | Record") -> Any:
            if isinstance(field, Record):
                return field.as_construct
            if isinstance(field, Bytes):
                return construct.Bytes(field.size)
            if isinstance(field, Array):
                return construct.Array(field.count, declared(field.of))
            if isinstance(field, Const) and isinstance(field.value, bytes):
                return construct.Const(field.value)
            letter = {1: "B", 2: "H", 4: "L", 8: "Q"}.get(field.size)
            number = construct.FormatField(self.order, letter) if letter else construct.BytesInteger(field.size)
            return construct.Const(field.value, number) if isinstance(field, Const) else number

        return construct.Struct(*(name / declared(field) for name, field in self.fields.items()))


class Bits:
    """Fields of so many bits, the highest first, that fill whole bytes."""

    def __init__(self, **widths: int) -> None:
        self.widths = widths
        self.size, rest = divmod(sum(widths.values()), 8)
        if rest:
            raise ValueError(f"{rest} bits are left over")

    def sizeof(self) -> int:
        """Return the size in bytes."""
        return self.size

    def parse(self, raw: bytes | memoryview) -> SimpleNamespace:
        """Read the first `size` bytes; `FormatError("record_size")` if there are fewer."""
        if len(raw) < self.size:
            raise FormatError("record_size")
        number, left, found = int.from_bytes(raw[: self.size], "big"), 8 * self.size, {}
        for name, width in self.widths.items():
            left -= width
            found[name] = number >> left & ((1 << width) - 1)
        return SimpleNamespace(**found)

    def build(self, values: Mapping[str, int]) -> bytes:
        """Return the bytes; `ValueError` if a value does not fit."""
        number = 0
        for name, width in self.widths.items():
            if not 0 <= values[name] < 1 << width:
                raise ValueError(f"{name} = {values[name]} is no number of {width} bits")
            number = number << width | values[name]
        return number.to_bytes(self.size, "big")

    @cached_property
    def as_construct(self) -> Any:
        """The same declaration as a `construct.BitStruct`."""
        import construct  # noqa: PLC0415  only tests need it

        return construct.BitStruct(*(name / construct.BitsInteger(width) for name, width in self.widths.items()))
