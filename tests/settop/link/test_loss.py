from hypothesis import given
from hypothesis import strategies as st

from carousel.take import Piece
from settop.link.loss import TestLoss as Loss

pieces = st.builds(Piece, st.integers(0, 10_000), st.integers(1, 100), st.integers(1, 3000))


def packets_of(pieces):
    return [
        (at, min(stride, offset + size - at))
        for offset, stride, size in pieces
        for at in range(offset, offset + size, stride)
    ]


@given(st.lists(pieces, max_size=8), st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.integers(0, 99))
def test_what_is_left_are_packets_as_they_were(pieces, loss, seed):
    before, after = packets_of(pieces), packets_of(Loss(loss, seed).thin(pieces))
    remaining = iter(before)
    assert all(packet in remaining for packet in after), "in their order"
    if loss in (0.0, 1.0):
        assert after == (before if not loss else [])


def test_the_share_is_what_was_asked_for_and_a_seed_repeats_it():
    pieces = [Piece(0, 10, 100_000)]
    left = packets_of(Loss(0.2, 1).thin(pieces))
    assert 7_800 < len(left) < 8_200
    assert left == packets_of(Loss(0.2, 1).thin(pieces)) != packets_of(Loss(0.2, 2).thin(pieces))
