"""The numbers of a code for K source symbols, and the columns that a symbol is the sum of (RFC 6330 5.3)."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from carousel.buffers import IntArray
from carousel.fec.rfc6330 import DEGREES, TABLE_2, V
from carousel.frozen import Frozen

__all__ = ["MAX_K", "Parameters", "columns_of", "parameters_of", "rand"]

MAX_K = 32000
"""What the native core numbers in 16 bits; both codecs serve the same blocks."""

Numbers = NDArray[np.uint32]


class Parameters(Frozen):
    """K' and the rest of 5.3.3.3; L = K' + S + H intermediate symbols, of which W are LT and P = L - W are PI."""

    k: int
    k_prime: int
    j: int
    s: int
    h: int
    w: int
    p1: int

    @property
    def intermediate(self) -> int:
        """L, the intermediate symbols."""
        return self.k_prime + self.s + self.h

    @property
    def permanent(self) -> int:
        """P, the permanently inactive ones."""
        return self.intermediate - self.w

    def isi(self, esis: IntArray) -> IntArray:
        """Return the internal symbol IDs: padding stands between source and repair symbols (5.3.1)."""
        return np.where(esis < self.k, esis, esis + (self.k_prime - self.k))


@cache
def parameters_of(k: int) -> Parameters:
    """Return the parameters for K source symbols, K from 1 to `MAX_K`."""
    if not 1 <= k <= MAX_K:
        raise ValueError(f"a block of {k} symbols; 1 to {MAX_K} are served")
    k_prime, j, s, h, w = next(row for row in TABLE_2 if row[0] >= k)
    p1 = k_prime + s + h - w
    while any(p1 % divisor == 0 for divisor in range(2, int(p1**0.5) + 1)):
        p1 += 1
    return Parameters(k, k_prime, j, s, h, w, p1)


@cache
def _tables() -> tuple[Numbers, ...]:
    return tuple(np.array(column, dtype=np.uint32) for column in V)


def rand(y: Numbers, i: int, m: int) -> IntArray:
    """Return Rand[y, i, m] (5.3.5.1) of each y."""
    mixed = np.zeros(len(y), dtype=np.uint32)
    for octet, table in enumerate(_tables()):
        mixed ^= table[((y >> np.uint32(8 * octet)) + np.uint32(i)) & np.uint32(255)]
    return (mixed % np.uint32(m)).astype(np.int64)


def columns_of(parameters: Parameters, isis: IntArray) -> tuple[list[list[int]], list[list[int]]]:
    """Return for each ISI its LT columns and its PI columns: their sum is the symbol (5.3.5.3, 5.3.5.4)."""
    w, p, p1 = parameters.w, parameters.permanent, parameters.p1
    isi = isis.astype(np.uint32)
    y = np.uint32(10267 * (parameters.j + 1)) + isi * np.uint32((53591 + parameters.j * 997) | 1)
    degree = np.minimum(np.searchsorted(np.array(DEGREES), rand(y, 0, 1 << 20), side="right"), w - 2)
    a, b = 1 + rand(y, 1, w - 1), rand(y, 2, w)
    most = int(degree.max(initial=0))
    lt = (b[:, None] + a[:, None] * np.arange(most)) % w
    count = np.where(degree < 4, 2 + rand(isi, 3, 2), 2)
    a1, b1 = 1 + rand(isi, 4, p1 - 1), rand(isi, 5, p1)
    pi = []
    for number, step, at in zip(count.tolist(), a1.tolist(), b1.tolist(), strict=True):
        columns: list[int] = []
        while len(columns) < number:
            if at < p:
                columns.append(w + at)
            at = (at + step) % p1  # noqa: PLW2901
        pi.append(columns)
    return [row[:d] for row, d in zip(lt.tolist(), degree.tolist(), strict=True)], pi
