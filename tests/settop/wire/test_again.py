import numpy as np
import pytest

from carousel.flute.alc import join_payload_id, render_packet
from carousel.take import Piece
from headend.pack import packing
from settop.wire.again import Lots, contested
from tests.settop.stitch.air import Air


def test_every_order_is_one_of_all_and_another_than_the_last():
    lots = Lots(7)
    orders = [lots.order(20).tolist() for _ in range(50)]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(set(map(tuple, orders))) == 50
    assert Lots(7).order(20).tolist() == orders[0], "one seed, one run"
    assert Lots(8).order(20).tolist() != orders[0]
    assert len(lots.order(0)) == 0


def test_each_of_two_comes_first_about_as_often():
    lots = Lots(3)
    firsts = sum(int(lots.order(2)[0]) for _ in range(1000))
    assert 400 < firsts < 600


# --- what is contested -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def release(make_release):
    return make_release(60_000, symbol_size=256, version="1.6.0")


@pytest.fixture
def air(release):
    return Air(release)


def laid(*runs):
    """Runs of packets of one size, some bytes between them: the buffer, and its pieces."""
    buffer, pieces = bytearray(b"?" * 5), []
    for run in runs:
        content = b"".join(run)
        pieces.append(Piece(len(buffer), len(run[0]), len(content)))
        buffer += content + b"?" * 7
    return np.frombuffer(bytes(buffer), dtype=np.uint8), pieces


def found(air, *runs, seed=1):
    flat, pieces = laid(*runs)
    chosen = contested(air._targets, flat, pieces, Lots(seed))
    assert (chosen[:, 1] == chosen[:, 2]).all()
    return [flat[at : at + size].tobytes() for at, size, _ in chosen.tolist()]


def test_packets_for_one_free_row_are_contested_wherever_they_stand(air):
    one, two, liar = air.packet(0, 0, 3), air.packet(0, 0, 4), air.forged(0, 0, 3)
    assert sorted(found(air, [one, two], [two[:-1]], [liar])) == sorted([one, liar])
    assert found(air, [one, two]) == []
    assert sorted(found(air, [one], [two, one, one])) == [one] * 3


def test_rows_of_every_level_source_and_repair_are_told_apart(air):
    size = int(air.layout.objects[0].block_sizes[0])
    places = [(0, 0, 0), (0, 0, size - 1), (0, 0, size), (0, 0, size + 5), (1, 0, 0), (air.layout.top, 0, 0)]
    genuine, liars = [air.packet(*place) for place in places], [air.forged(*place) for place in places]
    assert sorted(found(air, genuine, liars)) == sorted(genuine + liars)


@pytest.mark.parametrize("ratio", [1.0, 0.0])
def test_blocks_are_told_apart_with_a_code_and_without(make_release, monkeypatch, ratio):
    monkeypatch.setattr(packing, "blocks_of_image", lambda symbols: 3)
    air = Air(make_release(60_001, symbol_size=256, repair_ratio=ratio))
    packets = [air.packet(0, sbn, 7) for sbn in range(3)]
    assert found(air, packets) == []
    assert sorted(found(air, packets, packets[2:])) == [packets[2]] * 2
    image, toi = air.layout.objects[0], int.from_bytes(packets[2][12:16], "big")
    size = int(image.block_sizes[2])
    assert image.block_sizes[0] == size + 1
    beyond = join_payload_id(2, size + image.repair_per_block, image.fec)
    assert found(air, [render_packet(air.release.tsi, toi, image.fec, beyond, bytes(256))] * 2) == []


def test_a_row_that_is_held_is_not_contested_and_free_again_it_is(air):
    one, liar = air.packet(0, 0, 3), air.forged(0, 0, 3)
    air.hear([liar])
    assert found(air, [one, liar]) == []
    air.landings[0].discard(0, np.array([3]))
    assert sorted(found(air, [one, liar])) == sorted([one, liar])


def test_what_is_of_no_release_or_of_no_row_is_not_contested(air):
    release, image = air.release, air.layout.objects[0]
    symbols = int(image.block_sizes[-1]) + image.repair_per_block
    toi = int.from_bytes(air.packet(0, 0, 0)[12:16], "big")
    last = air.packet(0, image.blocks - 1, symbols - 1)
    for sbn, esi in ((image.blocks, 0), (image.blocks - 1, symbols), (255, 0xFFFFFF)):
        assert found(air, [render_packet(release.tsi, toi, 6, sbn << 24 | esi, bytes(256))] * 2) == []
    assert found(air, [render_packet(release.tsi, toi ^ 8, 6, 0, bytes(256))] * 2) == []
    assert found(air, [render_packet(release.tsi, toi, 6, 0, bytes(264))] * 2) == []
    assert found(air, [last, last]) == [last, last]


def test_a_piece_ends_where_its_packets_do(air):
    one = air.packet(0, 0, 3)
    flat = np.frombuffer(one * 3, dtype=np.uint8)
    cut = [Piece(0, len(one), 3 * len(one) - 1)]
    assert sorted(contested(air._targets, flat, cut, Lots(1))[:, 0].tolist()) == [0, len(one)]


def test_the_order_is_drawn(air):
    packets = [air.forged(0, 0, 3, seed) for seed in range(8)]
    orders = {tuple(packets.index(each) for each in found(air, packets, seed=seed)) for seed in range(6)}
    assert len(orders) == 6
