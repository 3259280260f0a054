"""What comes before its header is kept, within bounds, and given back once."""

from settop.wire.early import MAX_BYTES, MAX_RELEASES, EarlySymbols
from settop.wire.volume import HeardVolume

PACKET = memoryview(bytes(range(200)))


def heard(**packets):
    volume = HeardVolume()
    for name, count in packets.items():
        volume.add(int(name[1:]), count, 0.0)
    return volume


def test_what_is_kept_comes_back_in_order_and_once():
    early = EarlySymbols(HeardVolume())
    assert early.keep(8, PACKET[:50])
    assert early.keep(16, PACKET[10:20])
    assert early.keep(8, PACKET[50:120])
    memory, pieces = early.release(8)
    assert [bytes(memory[at : at + size]) for at, _, size in pieces] == [PACKET[:50], PACKET[50:120]]
    assert all(stride == size for _, stride, size in pieces), "each by itself"
    assert early.release(8) == (bytearray(), [])
    assert early.release(16)[0] == PACKET[10:20]


def test_only_so_many_releases_unless_one_is_heard_twice_as_much_as_the_least():
    early = EarlySymbols(heard(**{f"_{number}": 4 for number in range(MAX_RELEASES)}, _50=7, _60=8))
    assert all(early.keep(number, PACKET) for number in range(MAX_RELEASES))
    assert not early.keep(50, PACKET)
    assert early.keep(3, PACKET), "who is known takes no new place"
    assert early.keep(60, PACKET)
    assert sum(len(early.release(number)[1]) for number in range(MAX_RELEASES)) == MAX_RELEASES + 1 - 1
    assert early.release(60)[0] == PACKET


def test_the_least_heard_one_goes():
    early = EarlySymbols(heard(**{f"_{number}": 20 - number for number in range(MAX_RELEASES)}, _99=50))
    for number in reversed(range(MAX_RELEASES)):
        early.keep(number, PACKET)
    assert early.keep(99, PACKET)
    assert [bool(early.release(number)[1]) for number in range(MAX_RELEASES)] == [True] * (MAX_RELEASES - 1) + [False]


def test_one_of_which_nothing_was_counted_needs_two_packets_to_be_pushed_out():
    early = EarlySymbols(heard(_50=1, _60=2))
    for number in range(MAX_RELEASES):
        early.keep(number, PACKET)
    assert not early.keep(50, PACKET)
    assert early.keep(60, PACKET)


def test_memory_is_bounded_to_the_byte_and_free_again_when_something_goes():
    early = EarlySymbols(heard(_8=2, _16=3, _24=4))
    half = memoryview(bytes(MAX_BYTES // 2))
    assert early.keep(8, half)
    assert early.keep(16, half)
    assert not early.keep(16, PACKET), "nobody is heard half as much"
    assert not early.keep(8, PACKET[:1])
    assert early.keep(24, half), "this one is heard more"
    assert not early.keep(24, PACKET)
    early.release(24)
    assert early.keep(24, half)


def test_who_is_too_large_by_itself_is_not_kept():
    early = EarlySymbols(heard(_8=9, _16=1))
    assert early.keep(16, PACKET)
    assert not early.keep(8, memoryview(bytes(MAX_BYTES + 1)))
    assert early.keep(8, PACKET)
