"""Bulletins on the disk: whole or not at all, whenever the power goes."""

import pytest

from carousel.bulletin import MAX_BULLETIN_BYTES, claim_of
from settop.rollout.board import Board
from settop.store.bulletins import BulletinStore
from settop.store.disk import FolderDisk
from tests.settop.rollout.signed import BOX, TRUST, bulletin, stage
from tests.settop.store import powercut

KEY_ID = claim_of(bulletin(1)).key_id


class Cut(Exception):
    """The power went."""


class CutDisk(FolderDisk):
    """A folder whose power goes after so many operations."""

    def __init__(self, folder, after):
        super().__init__(folder)
        self._left = after

    def _count(self):
        if not self._left:
            raise Cut
        self._left -= 1

    def write(self, name, offset, data):
        if not self._left:
            super().write(name, offset, data[: len(data) // 2])
        self._count()
        super().write(name, offset, data)

    def rename(self, name, to):
        self._count()
        super().rename(name, to)

    def remove(self, name):
        self._count()
        super().remove(name)

    def sync(self, name):
        self._count()
        super().sync(name)

    def sync_names(self):
        self._count()
        super().sync_names()


def keep(store, *packets):
    for raw in packets:
        store.keep(claim_of(raw), raw)


@pytest.fixture
def store(tmp_path):
    return BulletinStore(FolderDisk(tmp_path))


def test_what_is_kept_comes_back_for_its_key_alone(store):
    keep(store, bulletin(1, stage()))
    assert store.packets([KEY_ID]) == [bulletin(1, stage())]
    assert store.packets([b"another!"]) == []


def test_a_newer_one_replaces_an_older_one_and_parts_that_are_no_more_go(store):
    keep(store, bulletin(1, part=0, parts=2), bulletin(1, part=1, parts=2))
    assert len(store.packets([KEY_ID])) == 2
    keep(store, bulletin(2))
    assert store.packets([KEY_ID]) == [bulletin(2)]


@pytest.mark.parametrize("after", range(8))
def test_a_power_cut_leaves_the_old_one_or_the_new_one(tmp_path, after):
    old, new = bulletin(1, stage()), bulletin(2, stage(is_halted=True))
    keep(BulletinStore(FolderDisk(tmp_path)), old)
    cut = True
    try:
        keep(BulletinStore(CutDisk(tmp_path, after)), new)
        cut = False
    except Cut:
        pass
    board = Board(TRUST, BOX, BulletinStore(FolderDisk(tmp_path)).packets([KEY_ID]))
    assert board.epochs[KEY_ID] in ({1, 2} if cut else {2})
    keep(BulletinStore(FolderDisk(tmp_path)), new)
    assert BulletinStore(FolderDisk(tmp_path)).packets([KEY_ID]) == [new]


def test_what_else_lies_there_is_no_bulletin(store, tmp_path):
    (tmp_path / f"{KEY_ID.hex()}-0.bulletin").write_bytes(b"x" * 5000)
    (tmp_path / f"{KEY_ID.hex()}-1.bulletin").mkdir()
    (tmp_path / "other.bulletin").write_bytes(bulletin(1))
    assert store.packets([KEY_ID]) == []
    (tmp_path / f"{KEY_ID.hex()}-2.bulletin").write_bytes(bulletin(1))
    assert store.packets([KEY_ID]) == [bulletin(1)], "what can't be read hides none of the others"


def test_what_is_kept_is_on_the_medium_and_of_the_largest_size_too():
    disk = powercut.CutDisk()
    store = BulletinStore(disk)
    disk.write("bulletin.new", 0, b"of an earlier try, and longer" * 100)
    keep(store, bulletin(1, stage(), part=0, parts=11), bulletin(1, part=10, parts=11))
    disk._lose_power()
    assert sorted(disk.names()) == [f"{KEY_ID.hex()}-0.bulletin", f"{KEY_ID.hex()}-10.bulletin"]
    assert store.packets([KEY_ID]) == [bulletin(1, stage(), part=0, parts=11), bulletin(1, part=10, parts=11)]
    disk.write(f"{KEY_ID.hex()}-1.bulletin", 0, b"x" * MAX_BULLETIN_BYTES)
    disk.write(f"{KEY_ID.hex()}-2.bulletin", 0, b"x" * (MAX_BULLETIN_BYTES + 1))
    disk.write(f"{KEY_ID.hex()}-3.bulletin", 0, b"")
    assert len(store.packets([KEY_ID])) == 3


def test_parts_of_another_key_stay():
    disk = powercut.CutDisk()
    store, others = BulletinStore(disk), f"{b'another!'.hex()}-5.bulletin"
    disk.write(others, 0, b"theirs")
    keep(store, bulletin(1, part=0, parts=3), bulletin(1, part=2, parts=3), bulletin(2, part=0, parts=2))
    assert sorted(disk.names()) == sorted([others, f"{KEY_ID.hex()}-0.bulletin"])
    assert sorted(store.packets([b"another!", KEY_ID])) == sorted([b"theirs", bulletin(2, part=0, parts=2)])
