from carousel.take import Piece
from settop.wire.early import MAX_BYTES, MAX_RELEASES, EarlySymbols
from settop.wire.volume import HeardVolume


def test_what_was_kept_comes_back_as_it_was_and_once():
    early = EarlySymbols(HeardVolume())
    assert early.keep(8, memoryview(b"first"))
    assert early.keep(16, memoryview(b"other"))
    assert early.keep(8, memoryview(b"second!"))
    assert early.release(8) == (bytearray(b"firstsecond!"), [Piece(0, 5, 5), Piece(5, 7, 7)])
    assert early.release(8) == (bytearray(), [])
    assert early.release(16)[0] == b"other"


def test_the_first_ones_win_and_only_who_is_heard_much_more_pushes_them_out():
    volume = HeardVolume()
    early = EarlySymbols(volume)
    for number in range(MAX_RELEASES):
        volume.add(number, 10, 0.0)
        assert early.keep(number, memoryview(b"x" * 100))
    volume.add(100, 19, 0.0)
    assert not early.keep(100, memoryview(b"y"))
    volume.add(100, 1, 0.0)
    assert early.keep(100, memoryview(b"y"))
    assert sum(bool(early.release(number)[1]) for number in range(MAX_RELEASES)) == MAX_RELEASES - 1


def test_memory_is_bounded_and_who_has_it_alone_pushes_nobody_out():
    volume = HeardVolume()
    early, packet = EarlySymbols(volume), memoryview(bytes(1 << 16))
    volume.add(8, 1000, 0.0)
    kept = [early.keep(8, packet) for _ in range(MAX_BYTES // len(packet) + 5)]
    assert kept.count(True) == MAX_BYTES // len(packet)
    volume.add(16, 5000, 0.0)
    assert early.keep(16, packet), "who is heard five times as much takes the place of all that"
    assert early.release(8) == (bytearray(), [])
    assert early._bytes == len(packet)
