"""Arithmetic over GF(256) (RFC 6330 5.7), by tables."""

from functools import cache

import numpy as np

from carousel.buffers import Bytes
from carousel.fec.rfc6330 import FIELD_POLYNOMIAL

__all__ = ["normalized", "power_of_alpha", "products", "solve"]


@cache
def _logarithms() -> tuple[Bytes, Bytes]:
    """Return OCT_EXP, long enough for the sum of two logarithms, and OCT_LOG."""
    exponents = np.empty(510, dtype=np.uint8)
    value = 1
    for power in range(255):
        exponents[[power, power + 255]] = value
        value = value << 1 ^ (FIELD_POLYNOMIAL if value & 0x80 else 0)
    logarithms = np.zeros(256, dtype=np.uint8)
    logarithms[exponents[:255]] = np.arange(255)
    return exponents, logarithms


def power_of_alpha(power: int) -> int:
    """Return alpha to this power."""
    return int(_logarithms()[0][power % 255])


@cache
def products() -> Bytes:
    """Return the multiplication table, shape (256, 256)."""
    exponents, logarithms = _logarithms()
    table: Bytes = exponents[logarithms.astype(np.int64)[:, None] + logarithms]
    table[0] = 0
    table[:, 0] = 0
    return table


def solve(lines: Bytes, unknowns: int) -> bool:
    """Bring the first `unknowns` columns of these lines to the identity, by Gauss and Jordan, in place.

    False where their rank is too low. The columns behind them say what each unknown is.
    """
    exponents, logarithms = _logarithms()
    table = products()
    for column in range(unknowns):
        found = np.flatnonzero(lines[column:, column])
        if not len(found):
            return False
        chosen = column + int(found[0])
        lines[[column, chosen]] = lines[[chosen, column]]
        inverse = exponents[255 - int(logarithms[lines[column, column]])]
        lines[column] = table[inverse, lines[column]]
        factors = lines[:, column].copy()
        factors[column] = 0
        lines ^= table[factors[:, None], lines[column]]
    return True


def normalized(lines: Bytes) -> Bytes:
    """Return lines times what makes their first octet that is not zero a 1; lines of zeros stay."""
    exponents, logarithms = _logarithms()
    first = lines[np.arange(len(lines)), (lines != 0).argmax(axis=1)]
    inverse = exponents[255 - logarithms[first].astype(np.int64)]
    scaled: Bytes = products()[inverse[:, None], lines]
    return scaled
