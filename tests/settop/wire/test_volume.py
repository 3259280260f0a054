from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from settop.wire.volume import HALF_LIFE_S, MAX_COUNTED, HeardVolume


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50)), max_size=300))
def test_who_has_more_than_a_32nd_of_all_is_known_and_no_count_is_too_small(heard):
    volume, true = HeardVolume(), Counter()
    for number, packets in heard:
        volume.add(number, packets, 0.0)
        true[number] += packets
    assert len(volume._counts) <= MAX_COUNTED
    for number, packets in true.items():
        if packets > sum(true.values()) / MAX_COUNTED:
            assert volume.of(number) >= packets
    assert all(volume.of(number) >= true[number] for number in volume._counts)


def test_what_is_long_past_counts_for_little():
    volume = HeardVolume()
    volume.add(8, 1000, 0.0)
    for step in range(1, 11):
        volume.add(16, 100, step * HALF_LIFE_S)
    assert volume.of(8) <= 1
    assert 150 < volume.of(16) < 250
    assert volume.of(24) == 0
