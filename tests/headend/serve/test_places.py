"""Whoever takes a carousel on goes on where it was; what is damaged is left out."""

import numpy as np

from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from headend.serve.places import PlaceFile


def turned(release, bursts):
    broadcaster = Broadcaster([release], BroadcastSettings(1e7, seed=3), 0.0)
    return broadcaster, [bytes(batch_of(broadcaster)) for _ in range(bursts)]


def batch_of(broadcaster):
    now = broadcaster.due(0.0)
    batch = broadcaster.next_batch(now)
    return batch.buffer[: batch.stride * batch.count]


def test_a_carousel_goes_on_in_its_cycle(make_release, tmp_path):
    release = make_release(300_000, symbol_size=512)
    first, _ = turned(release, 1500)
    assert first.places[0].cycle >= 1
    note = PlaceFile(tmp_path / "lab")
    note.note(first.places)
    note.close()
    second, _ = turned(release, 0)
    PlaceFile(tmp_path / "lab").resume(second)
    (mine, its) = (each.places[0] for each in (first, second))
    assert (mine.cycle, mine.packet) == (its.cycle, its.packet)


def test_a_damaged_note_is_none(make_release, tmp_path):
    release = make_release(300_000, symbol_size=512)
    broadcaster, _ = turned(release, 100)
    note = PlaceFile(tmp_path / "lab")
    note.note(broadcaster.places)
    assert len(note.read()) == 1
    rng = np.random.default_rng(5)
    raw = bytearray((tmp_path / "lab").read_bytes())
    raw[int(rng.integers(32))] ^= 0x40
    (tmp_path / "lab").write_bytes(raw)
    assert PlaceFile(tmp_path / "lab").read() == {}


def test_a_place_behind_the_end_of_a_smaller_release_is_not_gone_to(make_release, tmp_path):
    large, small = make_release(300_000, symbol_size=512), make_release(10_000, symbol_size=512)
    broadcaster, _ = turned(large, 100)
    note = PlaceFile(tmp_path / "lab")
    place = broadcaster.places[0]
    note.note([type(place)(small, 1, place.packet, 1.0)])
    other, _ = turned(small, 0)
    note.resume(other)
    assert other.places[0].packet == 0
