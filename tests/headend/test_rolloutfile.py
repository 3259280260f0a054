"""The file of decisions: replaced whole, noticed, and never taken half."""

import threading

import pytest

from carousel.errors import OperatorError
from carousel.gate import LEAST_TICKS, VALUE_BYTES, GateState, chain_id_of, hashed
from carousel.release.identity import ReleaseId
from headend.rollout.decisions import GatePlan
from headend.rolloutfile import RolloutFile

RELEASE = ReleaseId(b"r" * 16)


@pytest.fixture
def file(tmp_path):
    return RolloutFile(tmp_path / "rollout.json")


def test_a_change_is_noticed_once(file):
    file.change(lambda before: before.staged(RELEASE, 0.01, b"saltsalt", 7))
    assert file.load().epoch == 7
    assert not file.has_changed()
    RolloutFile(file.path).change(lambda before: before.halted(RELEASE, "bad", 8))
    assert file.has_changed()
    assert file.load().releases[RELEASE].is_halted


def test_a_file_that_is_away_or_torn_is_told_and_counts_as_unchanged(file):
    with pytest.raises(OSError, match="No such file"):
        file.load()
    file.change(lambda before: before.staged(RELEASE, 1.0, b"", 1))
    file.load()
    content = file.path.read_text()
    file.path.unlink()
    assert not file.has_changed()
    file.path.write_text(content[:-20])
    with pytest.raises(OperatorError, match=r"rollout\.json: these are no decisions"):
        file.load()


def test_a_refused_change_leaves_the_file_as_it_was(file):
    file.change(lambda before: before.staged(RELEASE, 0.5, b"", 1))
    with pytest.raises(OperatorError):
        file.change(lambda before: before.staged(RELEASE, 0.1, b"", 2))
    assert file.load().epoch == 1


def test_changes_at_once_are_all_there(file):
    def stage(number):
        release = ReleaseId(number.to_bytes(16, "big"))
        RolloutFile(file.path).change(lambda before: before.staged(release, 0.5, b"", 1))

    threads = [threading.Thread(target=stage, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.load().releases) == 8
    assert file.load().epoch == 8


def test_a_chain_tells_its_values_and_is_its_owners_alone(file):
    secret = bytes(32)
    chain = file.new_chain(secret, LEAST_TICKS)
    gate = GatePlan(GateState.TICKING, chain, LEAST_TICKS, 0.0, 1.0, 1.0)
    file.change(lambda before: before.gated(gate, 1))
    file.load()
    assert chain_id_of(file.value_of(gate, 0)) == chain
    assert hashed(file.value_of(gate, 5), 3) == file.value_of(gate, 2)
    assert file.value_of(gate, LEAST_TICKS) == secret
    (kept,) = file.path.parent.glob(f"*.{chain.hex()}")
    assert kept.stat().st_mode & 0o077 == 0
    file.change(lambda before: before.gated(GatePlan(GateState.OPEN), 2))
    assert not kept.exists()


def test_a_chain_that_is_another_one_is_refused(file):
    chain = file.new_chain(bytes(32), LEAST_TICKS)
    gate = GatePlan(GateState.TICKING, chain, LEAST_TICKS, 0.0, 1.0, 1.0)
    (kept,) = file.path.parent.glob(f"*.{chain.hex()}")
    kept.write_bytes(bytes((LEAST_TICKS + 1) * VALUE_BYTES))
    file.change(lambda before: before.gated(gate, 1))
    with pytest.raises(OperatorError, match="not the chain"):
        file.load()
