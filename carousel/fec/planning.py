"""A plan: how the intermediate symbols follow from the symbols that are there (RFC 6330 5.4), numbers alone.

Sets of inactive columns and of residual rows are Python integers, bit by bit. The native core does the same
(`carousel/native/plan.c`, `inactive.c`, `hdpc.c`), and says more about it.
"""

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.fec.octets import power_of_alpha, products, solve
from carousel.fec.parameters import Parameters, parameters_of, rand
from carousel.fec.peeling import Matrix, Peeling, matrix_of, peel
from carousel.frozen import Frozen

__all__ = ["Plan", "bits_of", "hdpc_pairs", "plan_of"]


class Plan(Frozen):
    """What to do with the symbols; `inactive` columns are `solved` by residual rows, or `free` and solved by HDPC rows.

    solved: (column, residual rows to sum, free columns to add). gf: (H, H + 1 + solved) octets: each free column is a
    sum of the HDPC rows' right sides, the last y of the recurrence, and the solved columns without their free part; the
    rows behind theirs must give zero, and so must each sum of residual rows in `checks`.
    """

    parameters: Parameters
    matrix: Matrix
    peeling: Peeling
    solved: list[tuple[int, list[int], list[int]]]
    free: list[int]
    checks: list[list[int]]
    gf: Bytes


def bits_of(number: int) -> list[int]:
    """Return which bits of a number are set."""
    found = []
    while number:
        lowest = number & -number
        found.append(lowest.bit_length() - 1)
        number ^= lowest
    return found


def hdpc_pairs(parameters: Parameters) -> IntArray:
    """Return the two HDPC rows of each column below K' + S but the last, shape (K' + S - 1, 2) (5.3.3.3)."""
    h = parameters.h
    column = np.arange(1, parameters.k_prime + parameters.s, dtype=np.uint32)
    first = rand(column, 6, h)
    return np.stack([first, (first + rand(column, 7, h - 1) + 1) % h], axis=1)


def plan_of(k: int, isis: IntArray) -> Plan | None:
    """Return the plan for the symbols with these ISIs, or None where they don't determine the block."""
    parameters = parameters_of(k)
    if len(isis) < k:
        return None
    matrix = matrix_of(parameters, isis)
    peeling = peel(matrix)
    combinations = _combinations(matrix, peeling)
    lines = [_combine(matrix, row, combinations) for row in peeling.residuals]
    solved, free, checks = _eliminate(lines, len(peeling.inactive))
    if len(free) > parameters.h:
        return None
    gf = _solve_free(parameters, peeling, combinations, solved, free)
    if gf is None:
        return None
    named = [
        (peeling.inactive[column], bits_of(rows), [peeling.inactive[f] for f in add]) for column, rows, add in solved
    ]
    return Plan(parameters, matrix, peeling, named, [peeling.inactive[column] for column in free], checks, gf)


def _combine(matrix: Matrix, row: int, combinations: list[int]) -> int:
    mixed = 0
    for column in matrix.lt[row]:
        mixed ^= combinations[column]
    for column in matrix.pi[row]:
        mixed ^= combinations[column]
    return mixed


def _combinations(matrix: Matrix, peeling: Peeling) -> list[int]:
    """Return for each column the set of inactive columns that its value contains."""
    combinations = [0] * matrix.parameters.intermediate
    for index, column in enumerate(peeling.inactive):
        combinations[column] = 1 << index
    for row, column in peeling.pivots:
        combinations[column] = _combine(matrix, row, combinations)
    return combinations


Solved = tuple[int, int, list[int]]
"""An inactive column, the set of residual rows to sum, the free columns to add; columns by their index."""


def _eliminate(lines: list[int], unknowns: int) -> tuple[list[Solved], list[int], list[list[int]]]:
    """Gauss and Jordan over GF(2); the bits above the unknowns say which rows a line sums.

    Return the solved columns, the free ones, and the sums of rows in which no column is left.
    """
    lines = [line | 1 << unknowns + row for row, line in enumerate(lines)]
    pivots: list[int] = []
    free = []
    for column in range(unknowns):
        rank, bit = len(pivots), 1 << column
        found = next((row for row in range(rank, len(lines)) if lines[row] & bit), None)
        if found is None:
            free.append(column)
            continue
        lines[rank], lines[found] = lines[found], lines[rank]
        pivot = lines[rank]
        lines = [line ^ pivot if line & bit and row != rank else line for row, line in enumerate(lines)]
        pivots.append(column)
    solved = [
        (column, lines[row] >> unknowns, [f for f in free if lines[row] >> f & 1]) for row, column in enumerate(pivots)
    ]
    return solved, free, [bits_of(line >> unknowns) for line in lines[len(pivots) :]]


def _hdpc_rows(parameters: Parameters) -> Bytes:
    """Return the HDPC rows' coefficients of the columns below K' + S, shape (H, K' + S).

    Column j is alpha times column j + 1, plus its two random ones: summed in doubling steps.
    """
    rows = np.zeros((parameters.h, parameters.k_prime + parameters.s), dtype=np.uint8)
    pairs = hdpc_pairs(parameters)
    columns = np.arange(len(pairs))
    rows[pairs[:, 0], columns] = 1
    rows[pairs[:, 1], columns] = 1
    rows[:, -1] = [power_of_alpha(i) for i in range(parameters.h)]
    step = 1
    while step < rows.shape[1]:
        rows[:, :-step] ^= products()[power_of_alpha(step), rows[:, step:]]
        step *= 2
    return rows


def _coefficients(parameters: Parameters, peeling: Peeling, combinations: list[int]) -> Bytes:
    """Return the coefficients of the inactive columns in the HDPC rows, shape (H, inactive)."""
    columns, size = parameters.k_prime + parameters.s, -(-len(peeling.inactive) // 8)
    sets = b"".join(combination.to_bytes(size, "little") for combination in combinations[:columns])
    bits = np.unpackbits(np.frombuffer(sets, dtype=np.uint8).reshape(columns, size), axis=1, bitorder="little")
    rows = _hdpc_rows(parameters)
    found = np.zeros((parameters.h, len(peeling.inactive)), dtype=np.uint8)
    for index, column in enumerate(peeling.inactive):
        found[:, index] = np.bitwise_xor.reduce(rows[:, bits[:, index] != 0], axis=1)
        if column >= columns:
            found[column - columns, index] ^= 1
    return found


def _solve_free(
    parameters: Parameters, peeling: Peeling, combinations: list[int], solved: list[Solved], free: list[int]
) -> Bytes | None:
    h = parameters.h
    rows = _coefficients(parameters, peeling, combinations)
    lines = np.concatenate([rows[:, free], np.eye(h, dtype=np.uint8)], axis=1)
    for column, _, add in solved:
        for f in add:
            lines[:, free.index(f)] ^= rows[:, column]
    if not solve(lines, len(free)):
        return None
    weights = lines[:, len(free) :]
    powers = np.array([[power_of_alpha(i)] for i in range(h)], dtype=np.uint8)
    behind = np.concatenate([powers, rows[:, [column for column, _, _ in solved]]], axis=1)
    terms = products()[weights[:, :, None], behind[None, :, :]]
    return np.concatenate([weights, np.bitwise_xor.reduce(terms, axis=1)], axis=1)
