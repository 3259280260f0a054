"""Which symbol is wrong? The equations that are left over tell, where one is (`carousel/native/wrong.c` says more).

A wrong symbol j shows in the h check equations as its h coefficients times its error: each octet of the syndromes is a
multiple of the same h octets. The coefficients of all symbols come out of the plan run backwards.
"""

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.fec.octets import normalized, products
from carousel.fec.planning import Plan, hdpc_pairs

__all__ = ["suspects_of"]


def suspects_of(plan: Plan, syndromes: Bytes, esis: IntArray) -> list[int] | None:
    """Return the ESIs of symbols that explain these syndromes (h, T) alone; None where h is 0, or none does.

    `esis` are those of the plan's inputs. No syndrome at all is no suspect.
    """
    if not len(syndromes):
        return None
    seen = np.unique(normalized(syndromes.T[syndromes.any(axis=0)]), axis=0)
    if not len(seen):
        return []
    if len(seen) > 1:
        return None
    coefficients = _coefficients(plan)
    matches = (normalized(coefficients) == seen[0]).all(axis=1)
    return [int(esi) for esi in esis[matches]] or None


def _coefficients(plan: Plan) -> Bytes:
    """Return the check equations' coefficients of each input, shape (inputs, h): the plan backwards."""
    matrix, binary = plan.matrix, len(plan.checks)
    gf = plan.gf[len(plan.free) :].T
    residual = np.zeros((len(plan.peeling.residuals), binary + gf.shape[1]), dtype=np.uint8)
    for check, rows in enumerate(plan.checks):
        residual[rows, check] = 1
    for weights, (_, rows, _) in zip(gf[plan.parameters.h + 1 :], plan.solved, strict=True):
        residual[rows, binary:] ^= weights
    column = np.zeros((plan.parameters.intermediate, residual.shape[1]), dtype=np.uint8)
    _hdpc_backwards(plan, gf, column[:, binary:])
    inputs = np.zeros((len(matrix.lt), residual.shape[1]), dtype=np.uint8)
    for weights, row in zip(residual, plan.peeling.residuals, strict=True):
        column[matrix.lt[row]] ^= weights
        inputs[row] ^= weights
    for row, own in reversed(plan.peeling.pivots):
        inputs[row] = column[own]
        column[matrix.lt[row]] ^= inputs[row]
    return inputs[: matrix.inputs]


def _hdpc_backwards(plan: Plan, gf: Bytes, column: Bytes) -> None:
    """Give each column below K' + S what the HDPC rows' checks have of it: y = alpha * y + bucket, from the last."""
    double, h = products()[2], plan.parameters.h
    y = gf[h].copy()
    pairs = hdpc_pairs(plan.parameters).tolist()
    column[len(pairs)] ^= y
    for index in range(len(pairs) - 1, -1, -1):
        first, second = pairs[index]
        y = double[y] ^ gf[first] ^ gf[second]
        column[index] ^= y
