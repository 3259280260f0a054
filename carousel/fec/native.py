"""The codec of the native core."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from carousel.buffers import Buffer, IntArray, WritableBuffer, as_bytes
from carousel.native import Core

__all__ = ["NativeCodec"]

MAX_CODERS = 8
"""Coders kept: a release has two sizes of blocks for each level. One that has encoded 7000 symbols has 0.5 MB."""


class NativeCodec:
    """RaptorQ by the native core (see `Codec`)."""

    name = "native"

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ffi: Any = core.ffi
        self._coder = lru_cache(MAX_CODERS)(self._new_coder)
        self._of_thread = threading.local()

    def make_ready(self, symbols: int) -> None:
        """Make this thread's workspace ready for blocks of so many symbols (see `Codec`)."""
        code = self._core.lib.bc_workspace_prepare(self._workspace(), symbols)
        self._core.status(code, f"a block of {symbols} symbols")
        self._coder(symbols)

    def encode(self, block: Buffer, symbol_size: int, esis: IntArray, out: WritableBuffer) -> None:
        """Write the symbols with these ESIs to `out` (see `Codec`)."""
        read, write, numbers = self._bytes(block), self._writable(out), self._numbers(esis)
        code = self._core.lib.bc_encode(
            self._coder_of(len(read), symbol_size),
            self._workspace(),
            read,
            len(read),
            symbol_size,
            numbers,
            len(numbers),
            write,
            len(write),
        )
        self._core.status(code, f"{len(esis)} ESIs of a block of {len(read)} bytes do not fit {len(write)} bytes")

    def decode(
        self,
        block: WritableBuffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
    ) -> bool:
        """Fill in the missing source symbols of a block in place (see `Codec`)."""
        given = self._given(self._writable(block), symbol_size, missing, repair, repair_rows, repair_esis)
        return self._core.status(self._core.lib.bc_decode(*given), _misfit(block, repair)) == 0

    def draft(
        self,
        block: WritableBuffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
        coming: IntArray,
    ) -> "NativeDraft | None":
        """Decode a block as far as it goes (see `Codec`)."""
        given = self._given(self._writable(block), symbol_size, missing, repair, repair_rows, repair_esis)
        draft = self._ffi.new("bc_draft **")
        code = self._core.lib.bc_draft_new(*given, self._numbers(coming), len(coming), draft)
        if self._core.status(code, f"{_misfit(block, repair)}, or none or too many that lack"):
            return None
        return NativeDraft(self._core, self._ffi.gc(draft[0], self._core.lib.bc_draft_free), self._workspace)

    def find_wrong(
        self,
        block: Buffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
    ) -> list[int] | None:
        """Return the ESIs of which one may be wrong (see `Codec`)."""
        source = self._bytes(block)
        given = self._given(source, symbol_size, missing, repair, repair_rows, repair_esis)
        found = np.empty(len(source) // symbol_size + len(repair_esis), dtype=np.int64)
        count = self._ffi.new("size_t *")
        code = self._core.lib.bc_find_wrong(*given, self._numbers(found), len(found), count)
        return None if self._core.status(code, _misfit(block, repair)) else found[: count[0]].tolist()

    def _given(
        self,
        block: Any,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
    ) -> tuple[Any, ...]:
        """Return what every call takes that works from the symbols that are there; it holds on to the memory."""
        if len(repair_rows) != len(repair_esis):
            raise ValueError(f"{len(repair_rows)} repair rows for {len(repair_esis)} ESIs")
        coder, read = self._coder_of(len(block), symbol_size), self._bytes(repair)
        absent, rows, esis = map(self._numbers, (missing, repair_rows, repair_esis))
        whole = (block, len(block), symbol_size, absent, len(absent), read, len(read), rows, esis, len(esis))
        return (coder, self._workspace(), *whole)

    def _new_coder(self, k: int) -> Any:
        coder = self._ffi.new("bc_coder **")
        self._core.status(self._core.lib.bc_coder_new(k, coder), f"a block of {k} symbols")
        return self._ffi.gc(coder[0], self._core.lib.bc_coder_free)

    def _workspace(self) -> Any:
        """Return the memory that this thread's calls use one after the other; it goes with the thread."""
        own = self._of_thread
        try:
            return own.workspace
        except AttributeError:
            made = self._ffi.new("bc_workspace **")
            self._core.status(self._core.lib.bc_workspace_new(made), "a workspace")
            own.workspace = self._ffi.gc(made[0], self._core.lib.bc_workspace_free)
            return own.workspace

    def _coder_of(self, block_bytes: int, symbol_size: int) -> Any:
        if symbol_size < 1 or symbol_size % 8 or block_bytes % symbol_size or not block_bytes:
            raise ValueError(f"a block of {block_bytes} bytes and symbols of {symbol_size}")
        return self._coder(block_bytes // symbol_size)

    def _bytes(self, buffer: Buffer) -> Any:
        return self._ffi.from_buffer("uint8_t[]", buffer)

    def _writable(self, buffer: WritableBuffer) -> Any:
        try:
            return self._ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
        except BufferError as error:
            raise ValueError(str(error)) from error

    def _numbers(self, numbers: IntArray) -> Any:
        return self._ffi.from_buffer("int64_t[]", np.ascontiguousarray(numbers, dtype=np.int64))


def _misfit(block: Buffer, repair: Buffer) -> str:
    sizes = len(as_bytes(block)), len(as_bytes(repair))
    return f"symbol numbers that a block of {sizes[0]} bytes and repair symbols of {sizes[1]} do not have"


class NativeDraft:
    """A draft of the native core (see `Draft`)."""

    def __init__(self, core: Core, draft: Any, workspace: Callable[[], Any]) -> None:
        self._core = core
        self._draft = draft
        self._workspace = workspace

    def finish(self, block: WritableBuffer, repair: Buffer, late_rows: IntArray, late_esis: IntArray) -> bool:
        """Fill in all that lacks (see `Draft`)."""
        if len(late_rows) != len(late_esis):
            raise ValueError(f"{len(late_rows)} rows for {len(late_esis)} ESIs")
        ffi = self._core.ffi
        write = ffi.from_buffer("uint8_t[]", block, require_writable=True)
        read = ffi.from_buffer("uint8_t[]", repair)
        rows, esis = (
            ffi.from_buffer("int64_t[]", np.ascontiguousarray(each, dtype=np.int64)) for each in (late_rows, late_esis)
        )
        code = self._core.lib.bc_draft_finish(
            self._draft, self._workspace(), write, len(write), read, len(read), rows, esis, len(esis)
        )
        return self._core.status(code, "symbols that were not to come, or a block of another size") == 0
