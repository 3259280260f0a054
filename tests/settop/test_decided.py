"""A box's folder and bulletins: what is kept, what is given up, and what `settop status` says of it."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carousel.bulletin import claim_of
from carousel.errors import OperatorError
from settop.boot.table import BackendOptions
from settop.commands.status import status
from settop.decided import board_of, obey
from settop.events import Note, TrialHalted
from settop.rollout.board import InForce, Standing
from settop.store.choice import Source
from settop.store.folder import BoxFolder, RolloutTrust
from settop.store.staterecord import Failure, SlotState
from tests.conftest import HARDWARE, KEY
from tests.settop.rollout.signed import ONLINE_KEY, bulletin, stage


def write_public(path, key):
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture
def keys(tmp_path):
    return write_public(tmp_path / "lab.pub", KEY), write_public(tmp_path / "online.pub", ONLINE_KEY)


@pytest.fixture
def make_box(tmp_path, make_release, release_file, keys):
    def make(name="box", **trust):
        factory = release_file(make_release(b"factory" * 100, version="0.1.0"), "factory.release")
        rollout = RolloutTrust(**({"keys": (keys[1],)} | trust))
        return BoxFolder.init(tmp_path / name, HARDWARE, [keys[0]], factory, "serial-1", rollout)

    return make


def on_trial(box, release):
    """Install a release, as if it had been received."""
    image = b"".join(bytes(each) for each in [release.source_symbols(0, release.layout.objects[0].source_symbols)])
    name = box.part_name(release.header)
    (box.path / name).write_bytes(image)
    return box.store.install(release.header, name)


def in_force(raw):
    return InForce(claim_of(raw), raw, is_decision=True)


def test_a_halted_trial_is_given_up_and_the_box_falls_back(make_box, make_release):
    box, release = make_box(), make_release(5000, symbol_size=256, version="1.1.0")
    source = on_trial(box, release)
    halt = bulletin(5, stage(release=release.header.release_id, is_halted=True, why="it bricks"))
    (event,) = obey(box, [in_force(halt)])
    assert event == TrialHalted(source.value, release.header.version, "its roll-out was halted: it bricks")
    slot = box.store.record().slots[source.slot]
    assert (slot.state, slot.failure) == (SlotState.FAILED, Failure.HALTED)
    assert box.store.boot().source is Source.EEPROM
    assert release.header.image_sha256[:8] not in box.store.profile().failed, "a resumed one may come again"


def test_cut_between_keeping_and_giving_up_the_next_start_does_it(make_box, make_release):
    box, release = make_box(), make_release(5000, symbol_size=256, version="1.1.0")
    on_trial(box, release)
    halt = bulletin(5, stage(release=release.header.release_id, is_halted=True))
    box.bulletins.keep(claim_of(halt), halt)
    again = BoxFolder(box.path)
    assert [type(event) for event in obey(again)] == [TrialHalted]
    assert list(obey(again)) == []


def test_a_confirmed_image_stays(make_box, make_release):
    box, release = make_box(), make_release(5000, symbol_size=256, version="1.1.0")
    on_trial(box, release)
    box.store.boot()
    box.store.confirm()
    halt = bulletin(5, stage(release=release.header.release_id, is_halted=True))
    assert list(obey(box, [in_force(halt)])) == []
    assert box.store.boot().header == release.header


def test_epochs_outlive_the_process(make_box):
    box, halt = make_box(), bulletin(5, stage(is_halted=True))
    list(obey(box, [in_force(halt)]))
    board = board_of(BoxFolder(box.path))
    board.hear(bulletin(4, stage()), 0.0)
    assert board.judge(0.0) == []
    assert board.verdict(stage().release, 0.0).standing is Standing.HALTED


def test_a_key_that_is_removed_takes_its_epoch_along(make_box):
    box = make_box()
    list(obey(box, [in_force(bulletin(5, stage(is_halted=True)))]))
    for path in (box.path / "trust-bulletin").iterdir():
        path.unlink()
    assert board_of(BoxFolder(box.path)) is None


def test_a_store_that_takes_nothing_is_told_of(make_box, monkeypatch):
    box = make_box()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(box.disk, "write", full)
    (event,) = obey(box, [in_force(bulletin(5, stage()))])
    assert isinstance(event, Note)
    assert "No space left" in event.text


def test_a_box_without_a_key_obeys_nobody(make_box):
    box = make_box(keys=())
    assert board_of(box) is None
    assert list(obey(box)) == []
    assert not (box.path / "trust-bulletin").exists()


def test_one_key_for_both_is_refused_and_so_is_a_box_without_a_name(
    make_box, keys, tmp_path, release_file, make_release
):
    with pytest.raises(OperatorError, match="must not sign bulletins"):
        make_box(keys=(keys[0],))
    factory = release_file(make_release(b"factory" * 100, version="0.1.0"), "factory.release")
    with pytest.raises(OperatorError, match="--id"):
        BoxFolder.init(tmp_path / "nameless", HARDWARE, [keys[0]], factory, "", RolloutTrust((keys[1],)))


def test_status_shows_epoch_stage_and_why(make_box, capsys):
    box = make_box()
    options = BackendOptions(box.path, None, None)
    assert status(options, None, as_json=False) == 0
    assert "nothing heard yet" in capsys.readouterr().out
    list(obey(box, [in_force(bulletin(5, stage(is_halted=True, why="it bricks")))]))
    assert status(options, None, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "epoch 5" in shown
    assert "its roll-out was halted: it bricks" in shown
    list(obey(box, [in_force(bulletin(6, stage()))]))
    assert status(options, None, as_json=True) == 0
    assert '"percent": 100.0, "halted": false, "for_this_box": true' in capsys.readouterr().out
