"""Reasons by their names, and a few of the keys that strangers claim."""

from settop.stitch.seam import WireStats
from settop.wire.tally import MAX_UNKNOWN_KEYS, Reason, Tally


def test_what_is_no_rejection_has_its_own_place():
    tally = Tally()
    tally.count(Reason.DUPLICATE, 5)
    tally.count(Reason.IGNORED, 3)
    tally.count(Reason.CORRUPT)
    tally.count(Reason.CORRUPT, 2)
    tally.count(Reason.TSI, 0)
    tally.count(Reason.TOI, 4)
    assert tally.stats() == WireStats(3, 5, 3, (("crc", 3), ("toi", 4)), ())


def test_a_few_unknown_keys_are_named_each_once():
    tally = Tally()
    keys = [bytes([number]) * 8 for number in range(MAX_UNKNOWN_KEYS + 2)]
    for key in [keys[0], *keys, keys[0]]:
        tally.claim(key)
    assert tally.stats().unknown_keys == tuple(key.hex() for key in keys[:MAX_UNKNOWN_KEYS])
