"""The codec in NumPy: serves where the native core is missing, with the same plans, a row of a block at a time."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from carousel.buffers import Buffer, IntArray, WritableBuffer, as_bytes, as_writable_bytes
from carousel.fec.codec import MAX_ESI
from carousel.fec.octets import products
from carousel.fec.parameters import columns_of, parameters_of
from carousel.fec.planning import Plan, hdpc_pairs, plan_of
from carousel.fec.suspects import suspects_of

__all__ = ["NumpyCodec"]

Words = NDArray[np.uint64]
"""Symbols as rows of 64-bit words: T is a multiple of 8."""
WORD_BYTES = 8
SPARE_SYMBOLS = 4
"""Repair symbols used beyond those missing, at first."""


class NumpyCodec:
    """RaptorQ in NumPy (see `Codec`)."""

    name = "numpy"

    def __init__(self) -> None:
        self._encoding_plan = lru_cache(8)(_encoding_plan)

    def encode(self, block: Buffer, symbol_size: int, esis: IntArray, out: WritableBuffer) -> None:
        """Write the symbols with these ESIs to `out` (see `Codec`)."""
        source, to = _symbols(as_bytes(block), symbol_size), as_writable_bytes(out)
        if len(to) != len(esis) * symbol_size or _outside(esis, 0, MAX_ESI + 1):
            raise ValueError(f"{len(esis)} ESIs of a block of {len(source)} symbols do not fit {len(to)} bytes")
        symbols = to.reshape(-1, symbol_size)
        is_source = esis < len(source)
        symbols[is_source] = source[esis[is_source]]
        if is_source.all():
            return
        plan = self._encoding_plan(len(source))
        repair = _sums(plan, _intermediate(plan, _words(source)), plan.parameters.isi(esis[~is_source]))
        symbols[~is_source] = repair.view(np.uint8)

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
        source = _symbols(as_writable_bytes(block), symbol_size)
        rows = as_bytes(repair)
        _check_numbers(len(source), missing, len(rows) // symbol_size, repair_rows, repair_esis)
        if not len(missing):
            return True
        symbols = rows[: len(rows) // symbol_size * symbol_size].reshape(-1, symbol_size)
        for used in dict.fromkeys((min(len(missing) + SPARE_SYMBOLS, len(repair_esis)), len(repair_esis))):
            if self._decode_with(source, missing, symbols[repair_rows[:used]], repair_esis[:used]):
                return True
        return False

    def make_ready(self, symbols: int) -> None:
        """Do nothing: beside what a block takes here it would not show (see `Codec`)."""

    def draft(
        self,
        block: WritableBuffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
        coming: IntArray,
    ) -> None:
        """Return None: NumPy holds the interpreter lock most of the time, so nothing is won by it (see `Codec`)."""

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
        source, rows = _symbols(as_bytes(block), symbol_size), as_bytes(repair)
        _check_numbers(len(source), missing, len(rows) // symbol_size, repair_rows, repair_esis)
        symbols = rows[: len(rows) // symbol_size * symbol_size].reshape(-1, symbol_size)
        there = np.ones(len(source), dtype=bool)
        there[missing] = False
        esis = np.concatenate([np.flatnonzero(there), repair_esis])
        plan = plan_of(len(source), parameters_of(len(source)).isi(esis))
        if plan is None:
            return None
        return suspects_of(plan, _syndromes(plan, _words(np.concatenate([source[there], symbols[repair_rows]]))), esis)

    def _decode_with(
        self, source: NDArray[np.uint8], missing: IntArray, repair: NDArray[np.uint8], esis: IntArray
    ) -> bool:
        k = len(source)
        there = np.ones(k, dtype=bool)
        there[missing] = False
        plan = plan_of(k, np.concatenate([np.flatnonzero(there), parameters_of(k).isi(esis)]))
        if plan is None:
            return False
        inputs = _words(np.concatenate([source[there], repair]))
        source[missing] = _sums(plan, _intermediate(plan, inputs), missing).view(np.uint8)
        return True


def _encoding_plan(k: int) -> Plan:
    plan = plan_of(k, np.arange(k))
    if plan is None:
        raise AssertionError("RFC 6330 promises a plan for every K")
    return plan


def _symbols(block: NDArray[np.uint8], symbol_size: int) -> NDArray[np.uint8]:
    """Return a block as rows (K, T); `ValueError` where it is no such block."""
    if symbol_size < 1 or symbol_size % WORD_BYTES or len(block) % symbol_size or not len(block):
        raise ValueError(f"a block of {len(block)} bytes and symbols of {symbol_size}")
    parameters_of(len(block) // symbol_size)
    return block.reshape(-1, symbol_size)


def _words(rows: NDArray[np.uint8]) -> Words:
    return np.ascontiguousarray(rows).view(np.uint64)


def _outside(numbers: IntArray, first: int, end: int) -> bool:
    return bool(len(numbers)) and (int(numbers.min()) < first or int(numbers.max()) >= end)


def _check_numbers(k: int, missing: IntArray, rows: int, repair_rows: IntArray, esis: IntArray) -> None:
    if len(repair_rows) != len(esis):
        raise ValueError(f"{len(repair_rows)} repair rows for {len(esis)} ESIs")
    twice = len(np.unique(missing)) != len(missing)
    if twice or _outside(missing, 0, k) or _outside(repair_rows, 0, rows) or _outside(esis, k, MAX_ESI + 1):
        raise ValueError(f"symbol numbers that a block of {k} symbols and {rows} repair symbols do not have")


def _xor(work: Words, rows: list[int], to: Words) -> None:
    np.bitwise_xor.reduce(work[rows], axis=0, out=to)


def _first_pass(plan: Plan, inputs: Words) -> tuple[Words, Words, Words]:
    """Return the intermediate symbols with the inactive columns zero, the residuals, the solved columns likewise."""
    peeling = plan.peeling
    work = np.zeros((plan.parameters.intermediate, inputs.shape[1]), dtype=np.uint64)
    for row, column in peeling.pivots:
        _sum_of_row(plan, work, inputs, row, work[column])
    residuals = np.zeros((len(peeling.residuals), inputs.shape[1]), dtype=np.uint64)
    for index, row in enumerate(peeling.residuals):
        _sum_of_row(plan, work, inputs, row, residuals[index])
    solved = np.zeros((len(plan.solved), inputs.shape[1]), dtype=np.uint64)
    for index, (_, rows, _) in enumerate(plan.solved):
        _xor(residuals, rows, solved[index])
    return work, residuals, solved


def _intermediate(plan: Plan, inputs: Words) -> Words:
    """Return the intermediate symbols (L, words): pivots without the inactive columns, these, and pivots again."""
    matrix, peeling = plan.matrix, plan.peeling
    work, _, solved = _first_pass(plan, inputs)
    if plan.free:
        work[plan.free] = _gf_sums(plan, work, solved, range(len(plan.free)))
    for index, (column, _, add) in enumerate(plan.solved):
        work[column] = solved[index] ^ np.bitwise_xor.reduce(work[add], axis=0)
    for row, column in peeling.pivots:
        work[column] = 0
        _xor(work, matrix.lt[row] + matrix.pi[row], work[column])
        if row < matrix.inputs:
            work[column] ^= inputs[row]
    return work


def _sum_of_row(plan: Plan, work: Words, inputs: Words, row: int, to: Words) -> None:
    """Sum a row's columns, of which the inactive ones and the pivot's own are still zero, and its right side."""
    _xor(work, plan.matrix.lt[row], to)
    if row < plan.matrix.inputs:
        to ^= inputs[row]


def _gf_sums(plan: Plan, work: Words, solved: Words, rows: range) -> Words:
    """Return what rows of the plan's `gf` sum, from the HDPC rows' right sides: y = alpha * y + C, column by column."""
    sides = np.zeros((plan.parameters.h, work.shape[1] * WORD_BYTES), dtype=np.uint8)
    double = products()[2]
    y = np.zeros(sides.shape[1], dtype=np.uint8)
    octets = work.view(np.uint8)
    pairs = hdpc_pairs(plan.parameters).tolist()
    for column, (first, second) in enumerate(pairs):
        y = double[y]
        y ^= octets[column]
        sides[first] ^= y
        sides[second] ^= y
    last = double[y] ^ octets[len(pairs)]
    terms = np.concatenate([sides, last[None], solved.view(np.uint8)])
    values = [np.bitwise_xor.reduce(products()[plan.gf[row][:, None], terms], axis=0) for row in rows]
    return np.array(values, dtype=np.uint8).reshape(len(rows), sides.shape[1]).view(np.uint64)


def _syndromes(plan: Plan, inputs: Words) -> NDArray[np.uint8]:
    """Return what must be zero, a row for each check equation."""
    work, residuals, solved = _first_pass(plan, inputs)
    binary = np.zeros((len(plan.checks), work.shape[1]), dtype=np.uint64)
    for index, rows in enumerate(plan.checks):
        _xor(residuals, rows, binary[index])
    others = _gf_sums(plan, work, solved, range(len(plan.free), plan.parameters.h))
    return np.concatenate([binary, others]).view(np.uint8)


def _sums(plan: Plan, work: Words, isis: IntArray) -> Words:
    """Return the symbols with these ISIs."""
    lt, pi = columns_of(plan.parameters, isis)
    out = np.empty((len(isis), work.shape[1]), dtype=np.uint64)
    for index, columns in enumerate(zip(lt, pi, strict=True)):
        _xor(work, columns[0] + columns[1], out[index])
    return out
