"""Which releases are heard most: bounded memory, and no flood of rare ones pushes out one that fills the air."""

from settop.wire.volume import HALF_LIFE_S, MAX_COUNTED, HeardVolume


def test_packets_add_up_for_each_number():
    volume = HeardVolume()
    volume.add(8, 3, 0.0)
    volume.add(16, 1, 0.1)
    volume.add(8, 4, 0.2)
    assert (volume.of(8), volume.of(16), volume.of(24)) == (7, 1, 0)


def test_a_newcomer_takes_the_place_and_the_count_of_the_least_heard():
    """Counts are too large rather than too small: so who has more than a 32nd is never missing."""
    volume = HeardVolume()
    counts = [50 - number for number in range(MAX_COUNTED)]
    for number, count in enumerate(counts):
        volume.add(number, count, 0.0)
    volume.add(99, 2, 0.0)
    assert [volume.of(number) for number in range(MAX_COUNTED)] == [*counts[:-1], 0]
    assert volume.of(99) == counts[-1] + 2


def test_who_is_counted_already_pushes_nobody_out():
    volume = HeardVolume()
    for number in range(MAX_COUNTED):
        volume.add(number, 1, 0.0)
    volume.add(5, 1, 0.0)
    assert [volume.of(number) for number in range(MAX_COUNTED)] == [1 + (number == 5) for number in range(MAX_COUNTED)]


def test_ten_thousand_that_are_heard_once_do_not_push_out_one_with_many():
    volume = HeardVolume()
    for number in range(10_000):
        volume.add(number, 1, 0.0)
        volume.add(77_777, 1, 0.0)
    assert volume.of(77_777) >= 10_000


def test_counts_halve_with_time_and_vanish():
    volume = HeardVolume()
    volume.add(8, 9, 100.0)
    volume.add(16, 1, 100.0)
    volume.add(8, 0, 100.0 + HALF_LIFE_S - 0.01)
    assert (volume.of(8), volume.of(16)) == (9, 1)
    volume.add(8, 0, 100.0 + HALF_LIFE_S)
    assert (volume.of(8), volume.of(16)) == (4, 0)
    volume.add(8, 0, 100.0 + 2 * HALF_LIFE_S - 0.01)
    assert volume.of(8) == 4, "once in a half-life"
    for half_lives, count in ((2, 2), (3, 1), (4, 0)):
        volume.add(16, 0, 100.0 + half_lives * HALF_LIFE_S)
        assert volume.of(8) == count
