import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.batch import Batch
from carousel.flute.alc import CRC_OFFSET, crc_of_packet, plain_prefix
from carousel.release.blocks import FecId
from headend.pack.render import render_block
from settop.wire import groupcrc
from settop.wire.groupcrc import GroupCrc

TSI, TOI, SIZE = 7, 0x12345678, 256


def packets(count):
    symbols = np.random.default_rng(count).integers(0, 256, (count, SIZE), dtype=np.uint8)
    return render_block(symbols, TSI, TOI, 3, FecId.RAPTORQ)


def checker():
    return GroupCrc(plain_prefix(TSI, TOI, FecId.RAPTORQ)[0], packets(1).shape[1])


def batch(rows):
    return Batch(memoryview(rows.tobytes()), rows.shape[1], len(rows))


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 95, 352])
def test_intact_packets_pass_in_batches_of_any_size(count):
    assert checker().intact(batch(packets(count))).all()


@given(st.integers(1, 100), st.data())
@settings(max_examples=150, deadline=None)
def test_exactly_the_packets_pass_whose_own_crc_is_right(count, data):
    """Bytes behind the prefix change at random: in the CRC field, in the payload ID, in the symbol."""
    rows = packets(count).copy()
    places = st.tuples(st.integers(0, count - 1), st.integers(CRC_OFFSET, rows.shape[1] - 1), st.integers(1, 255))
    for row, column, change in data.draw(st.lists(places, max_size=6)):
        rows[row, column] ^= change
    honest = [crc_of_packet(row.tobytes()) == int.from_bytes(row[20:24].tobytes(), "big") for row in rows]
    assert checker().intact(batch(rows)).tolist() == honest


def test_a_group_costs_one_call(monkeypatch):
    """The point of it all: calls are what is dear, not bytes."""
    checks, calls = checker(), []

    def counted(*arguments):
        calls.append(len(arguments[0]))
        return original(*arguments)

    original = groupcrc.crc32
    monkeypatch.setattr(groupcrc, "crc32", counted)
    assert checks.intact(batch(packets(96))).all()
    assert len(calls) == 3


def test_more_packets_than_the_tables_reach_are_checked_one_by_one(monkeypatch):
    monkeypatch.setattr(groupcrc, "_MOST_PACKETS", 40)
    rows = packets(50).copy()
    rows[44, 30] ^= 1
    assert np.flatnonzero(~checker().intact(batch(rows))).tolist() == [44]
