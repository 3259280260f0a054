"""A short fuzz of the whole receiver; `make fuzz` runs ten million packets."""

import random

import pytest

from bench.siege.fuzz import IMAGE_BYTES, RATE_BPS, Fuzz, Mutator, Record
from bench.siege.scenarios import field_of


@pytest.fixture(scope="module")
def ground():
    return field_of(IMAGE_BYTES // 4, RATE_BPS, 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_raises_and_images_still_come(ground, seed):
    print(f"seed {seed}")
    fuzz = Fuzz(ground, random.Random(seed))
    for _ in range(150):
        fuzz.step()
    assert fuzz.packets > 9000
    assert fuzz.images > 0
    assert len(fuzz.reasons) > 8, "mutants reach many ways to be refused"


def test_one_seed_gives_the_same_packets_and_they_differ_from_what_is_cast():
    pool = [bytes(range(200)), bytes(100), b"\x10" * 300]
    made = [[Mutator(pool, random.Random(4)).packet() for _ in range(3)] for _ in range(2)]
    assert made[0] == made[1]
    mutator = Mutator(pool, random.Random(5))
    assert len({mutator.packet() for _ in range(300)} - set(pool)) > 250


def test_runs_add_up(tmp_path):
    path = tmp_path / "out" / "record.json"
    assert Record.read(path) == Record(path)
    Record(path, packets=5, images=4, boxes=3, runs=2, seconds=1.0).write()
    assert Record.read(path) == Record(path, packets=5, images=4, boxes=3, runs=2, seconds=1.0)
