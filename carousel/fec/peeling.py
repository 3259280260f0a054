"""Inactivation decoding over numbers alone (RFC 6330 5.4.2): an order in which the columns follow from the rows.

A *pivot* is a sparse row that gives one LT column, when earlier pivots' and inactive columns are known. Rows that are
no pivot's are residuals: equations of the inactive columns. The native core does the same (`carousel/native/peel.c`).
"""

import numpy as np

from carousel.buffers import IntArray
from carousel.fec.parameters import Parameters, columns_of
from carousel.frozen import Frozen

__all__ = ["Matrix", "Peeling", "matrix_of", "peel"]


class Matrix(Frozen):
    """The sparse rows: symbols, then K' - K padding symbols, then S LDPC rows; `inputs` of them have a right side."""

    parameters: Parameters
    inputs: int
    lt: list[list[int]]
    pi: list[list[int]]


class Peeling(Frozen):
    """Pivots (row, column) in order; the inactive columns, P permanent ones first; the residual rows."""

    pivots: list[tuple[int, int]]
    inactive: list[int]
    residuals: list[int]


def matrix_of(parameters: Parameters, isis: IntArray) -> Matrix:
    """Return the sparse rows for the symbols with these ISIs."""
    padding = np.arange(parameters.k, parameters.k_prime)
    lt, pi = columns_of(parameters, np.concatenate([isis, padding]))
    s, w, p = parameters.s, parameters.w, parameters.permanent
    ldpc = [[w - s + i] for i in range(s)]
    for column in range(w - s):
        step, row = 1 + column // s, column % s
        for shift in range(3):
            ldpc[(row + shift * step) % s].append(column)
    return Matrix(parameters, len(isis), lt + ldpc, pi + [[w + i % p, w + (i + 1) % p] for i in range(s)])


class _Active:
    """The active columns of each row, as peeling goes: how many, and the XOR of their numbers."""

    def __init__(self, matrix: Matrix) -> None:
        self.rows_of: list[list[int]] = [[] for _ in range(matrix.parameters.w)]
        for row, columns in enumerate(matrix.lt):
            for column in columns:
                self.rows_of[column].append(row)
        self.columns_of = matrix.lt
        self.degree = [len(columns) for columns in matrix.lt]
        self.mixed = [0] * len(matrix.lt)
        for row, columns in enumerate(matrix.lt):
            for column in columns:
                self.mixed[row] ^= column
        self.is_active = [True] * matrix.parameters.w
        self.count = matrix.parameters.w
        self.pairs = np.zeros(matrix.parameters.w, dtype=np.int64)
        self.ready = [row for row, degree in enumerate(self.degree) if degree == 1]
        for row, degree in enumerate(self.degree):
            if degree == 2:
                self._count_pair(row)

    def deactivate(self, column: int) -> None:
        """The column is known, or inactive: its rows lose a degree."""
        self.is_active[column] = False
        self.pairs[column] = 0
        self.count -= 1
        for row in self.rows_of[column]:
            self.mixed[row] ^= column
            self.degree[row] = degree = self.degree[row] - 1
            if degree == 1:
                self.pairs[self.mixed[row]] -= 1
                self.ready.append(row)
            elif degree == 2:
                self._count_pair(row)

    def column_to_give_up(self) -> int:
        """Return the column that most rows of degree 2 share; without such rows one of a row of the least degree."""
        column = int(self.pairs.argmax())
        if self.pairs[column]:
            return column
        left = [(degree, row) for row, degree in enumerate(self.degree) if degree]
        columns = self.columns_of[min(left)[1]] if left else range(len(self.is_active))
        return next(column for column in columns if self.is_active[column])

    def _count_pair(self, row: int) -> None:
        one = next(column for column in self.columns_of[row] if self.is_active[column])
        self.pairs[one] += 1
        self.pairs[self.mixed[row] ^ one] += 1


def peel(matrix: Matrix) -> Peeling:
    """Find pivots; where no row has a single active column, one column becomes inactive."""
    active = _Active(matrix)
    pivots: list[tuple[int, int]] = []
    inactive = list(range(matrix.parameters.w, matrix.parameters.intermediate))
    while True:
        while active.ready:
            row = active.ready.pop()
            if active.degree[row] == 1:
                pivots.append((row, active.mixed[row]))
                active.deactivate(active.mixed[row])
        if not active.count:
            break
        inactive.append(active.column_to_give_up())
        active.deactivate(inactive[-1])
    used = {row for row, _ in pivots}
    return Peeling(pivots, inactive, [row for row in range(len(matrix.lt)) if row not in used])
