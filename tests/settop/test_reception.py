"""The driver: what it opens, lets go of and waits for. Packets from a list, counted time, real threads and files."""

import errno
import os
import threading
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from carousel.fec import codec
from carousel.flute.fdt import bulletin_packet, header_packet
from carousel.take import Piece
from settop import reception as module
from settop.events import Halted, ImageFound, ImageRefused, ImageVerified, Note, NotYet
from settop.options import Outcome
from settop.reception import Reception
from settop.rollout.board import PATIENCE_S, Board
from settop.stitch.jobs import Finding, JobResult, run_job
from settop.stitch.receiver import Receiver
from settop.store import ahead, partfile
from settop.store.partfile import NoRoomError, PartFile
from settop.wire.flute import FluteWire
from settop.work.threads import WorkThreads
from tests.conftest import noise
from tests.settop.rollout.signed import BOX, bulletin, stage
from tests.settop.rollout.signed import TRUST as BULLETIN_TRUST

SIZE = 60_000


class FakeListener:
    """Hands out packets, some at each read; then nothing. Its descriptor never becomes readable."""

    def __init__(self, packets, at_once=40):
        self._packets, self._at_once = list(packets), at_once
        self.buffer, self.has_more, self.patience_s, self.socket_drops = b"", False, 0.0, 0
        self._silent = threading.Event()
        self.rejoined = 0

    def read(self):
        taken, self._packets = self._packets[: self._at_once], self._packets[self._at_once :]
        self.buffer = b"".join(taken)
        self.has_more = bool(self._packets)
        pieces, at = [], 0
        for packet in taken:
            pieces.append(Piece(at, len(packet), len(packet)))
            at += len(packet)
        return pieces

    def fileno(self):
        return self.never

    def rejoin(self):
        self.rejoined += 1


class Clock:
    """A millisecond a look."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        self.now += 1e-3
        return self.now


@pytest.fixture
def lab(tmp_path, profile, monkeypatch):
    """Make receptions over packets; `lab.events` are what they tell, `lab.work` what does their jobs."""
    monkeypatch.setattr(module, "MAX_WAIT_S", 1e-3)
    never, writer = os.pipe()
    made = SimpleNamespace(events=[], parts=[], clock=Clock())

    def open_part(header, layout):
        part = PartFile(tmp_path / f"{header.version.minor}.part", layout)
        made.parts.append(part)
        return part

    def make(packets, tsi, run=run_job, opened=open_part):
        made.listener = FakeListener(packets)
        made.listener.never = never
        made.work = WorkThreads(1, codec(), run)
        made.wire = FluteWire(tsi, profile.trust)
        made.receiver = Receiver(profile, True, made.clock.now)
        reception = Reception(
            made.receiver, made.listener, made.wire, made.work, opened, made.events.append, made.clock
        )
        made.reception = reception
        return reception

    made.make, made.open_part, made.folder = make, open_part, tmp_path
    yield made
    made.reception.close()
    made.work.close()
    os.close(never)
    os.close(writer)


def carousel(*releases):
    """Headers, then all packets: digests first."""
    for release in releases:
        yield header_packet(release)
    for release in releases:
        rows = range(release.layout.rows)
        yield from (bytes(release.packet_bytes(number, 1)) for number in reversed(rows))


def of(lab, kind):
    return [event for event in lab.events if isinstance(event, kind)]


def test_an_image_off_the_air(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    outcome, assembly = lab.make(carousel(release), release.tsi).run(3600)
    assert outcome is Outcome.VERIFIED
    assert assembly.header == release.header
    assert (lab.folder / "1.part").read_bytes()[:SIZE] == noise(SIZE)
    (found,), (verified,) = of(lab, ImageFound), of(lab, ImageVerified)
    assert not found.resumed
    assert verified.sha256 == release.header.image_sha256
    assert verified.rejected_symbols == 0


def test_the_rate_counts_no_time_before_the_image_was_found(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    reception = lab.make(carousel(release), release.tsi)
    lab.clock.now += 1000
    reception.run(3600)
    (found,), (verified,) = of(lab, ImageFound), of(lab, ImageVerified)
    least_bps = (verified.received_symbols - 40) * 256 * 8 / (verified.elapsed_s - found.elapsed_s)
    assert verified.rate_bps >= least_bps > 100 * SIZE * 8 / verified.elapsed_s


def test_the_rate_counts_nothing_that_an_earlier_run_left(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    packets = list(carousel(release))
    half = len(packets) // 2
    lab.make(packets[:half], release.tsi).run(2)
    lab.reception.close()
    lab.work.close()
    lab.make([packets[0], *packets[half:]], release.tsi).run(3600)
    (_, found), (verified,) = of(lab, ImageFound), of(lab, ImageVerified)
    assert found.resumed
    assert verified.received_symbols < verified.needed_symbols
    assert 0 < verified.rate_bps <= 40 * 256 * 8 / 1e-3  # a read takes so many, and a look at the clock so long


def test_a_job_that_fails_is_told_and_the_image_still_comes(lab, make_release):
    release, failures = make_release(SIZE, symbol_size=256, version="1.1.0"), [1, 1]

    def run(job, some_codec):
        if failures:
            failures.pop()
            return JobResult(job, Finding.FAILED, error="MemoryError: none left")
        return run_job(job, some_codec)

    outcome, _ = lab.make([*carousel(release), *carousel(release)], release.tsi, run).run(3600)
    assert outcome is Outcome.VERIFIED
    assert sum("MemoryError" in note.text for note in of(lab, Note)) == 2


@pytest.mark.slow
def test_nothing_waits_past_the_deadline_for_a_hung_job(lab, make_release):
    release, gate = make_release(SIZE, symbol_size=256, version="1.1.0"), threading.Event()

    def hang(job, _):
        gate.wait(60)
        return JobResult(job, Finding.FAILED)

    outcome, assembly = lab.make(carousel(release), release.tsi, hang).run(1.0)
    assert (outcome, assembly) == (Outcome.NOTHING, None)
    assert lab.work.is_at(release.header.release_id)
    gate.set()


def test_the_file_of_a_release_given_up_goes_when_its_jobs_are_back(lab, make_release):
    releases = [make_release(SIZE, symbol_size=256, version=f"1.{minor}.0") for minor in (1, 2, 3, 4)]
    gate = threading.Event()

    def wait(job, some_codec):
        gate.wait(60)
        return run_job(job, some_codec)

    oldest = releases[0]
    image = oldest.layout.objects[0]
    packets = [header_packet(oldest), *(bytes(each) for each in oldest.packets[: image.source_symbols])]
    digests = oldest.packets[image.rows :]
    reception = lab.make([*packets, *map(bytes, digests), *map(header_packet, releases[1:])], oldest.tsi, wait)
    reception.run(1.0)
    assert sorted(each.header.version.minor for each in lab.receiver.candidates.values()) == [1, 3, 4]
    assert (lab.folder / "1.part").exists(), "what has proven something keeps its place"
    assert not (lab.folder / "2.part").exists()
    reception._perform(lab.receiver.lose(oldest.header.release_id, "for this test"), 0.0)
    reception._look_after_jobs()
    assert (lab.folder / "1.part").exists(), "a job works on it"
    gate.set()
    for _ in range(5000):
        reception._look_after_jobs()
        if not (lab.folder / "1.part").exists():
            return
        threading.Event().wait(0.002)
    raise AssertionError("the file stays for ever")


def test_no_room_refuses_that_release_alone(lab, make_release):
    small, large = (make_release(size, symbol_size=256, version=f"1.{size}.0") for size in (20_000, 60_000))

    def open_part(header, layout):
        if header.image_size > 30_000:
            raise NoRoomError("make room")
        return lab.open_part(header, layout)

    outcome, assembly = lab.make(carousel(small, large), small.tsi, opened=open_part).run(3600)
    assert outcome is Outcome.VERIFIED
    assert assembly.header == small.header
    assert [event.reason for event in of(lab, ImageRefused)] == ["make room"]


def test_a_disk_that_fails_on_the_way_refuses_that_release_alone(lab, make_release, monkeypatch):
    import errno

    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    monkeypatch.setattr(ahead, "populate", lambda rows: errno.EFAULT)
    outcome, _ = lab.make(carousel(release), release.tsi).run(1.0)
    assert outcome is Outcome.REFUSED
    assert "part file failed" in of(lab, ImageRefused)[0].reason
    assert not list(lab.folder.glob("*.part"))


def test_a_box_that_can_not_keep_up_says_so_once(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    packets = list(carousel(release))
    reception = lab.make(packets[: len(packets) // 2], release.tsi)
    lab.listener.socket_drops = 1000
    reception.run(1.0)
    told = [note.text for note in of(lab, Note)]
    assert len(told) == 1
    assert "lower" in told[0]
    assert "rmem_max" in told[0]


def test_a_silent_group_is_joined_again(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    reception = lab.make([], release.tsi)
    lab.reception._wait = lambda *_, **__: setattr(lab.clock, "now", lab.clock.now + 1)
    reception.run(65)
    assert lab.listener.rejoined == 2


def test_every_seed_every_order(lab, make_release):
    seed = 3
    print(f"seed {seed}")
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    packets = list(carousel(release))
    order = np.random.default_rng(seed).permutation(len(packets))
    outcome, _ = lab.make([packets[index] for index in order.tolist()] * 2, release.tsi).run(3600)
    assert outcome is Outcome.VERIFIED


# --- bulletins ------------------------------------------------------------------------------------------


def told(lab, raw, tsi):
    """A reception over these packets of a box that obeys bulletins; what it was told is kept in `lab.decided`."""
    lab.decided = []
    board = Board(BULLETIN_TRUST, BOX)
    reception = lab.make(raw, tsi)
    lab.reception = Reception(
        lab.receiver, lab.listener, lab.wire, lab.work, lab.open_part, lab.events.append, lab.clock,
        board=board, on_decided=lab.decided.append,
    )  # fmt: skip
    reception.close()
    return lab.reception


def said(release, **decided):
    return bulletin_packet(release.tsi, bulletin(5, stage(release=release.header.release_id, **decided)))


def test_a_box_installs_what_a_bulletin_allows(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    outcome, _ = told(lab, [*carousel(release), said(release)], release.tsi).run(3600)
    assert outcome is Outcome.VERIFIED
    assert [each[0].claim.epoch for each in lab.decided] == [5]


@pytest.mark.slow
def test_a_box_that_hears_no_bulletin_installs_all_the_same_after_a_while(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    began = lab.clock.now
    outcome, _ = told(lab, carousel(release), release.tsi).run(3600)
    assert outcome is Outcome.VERIFIED
    assert lab.clock.now - began > PATIENCE_S
    outcome, _ = told(lab, carousel(release), release.tsi).run(PATIENCE_S / 2)
    assert outcome is Outcome.NOT_YET, "too early to say; what came is kept"


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_halt_drops_what_is_collected_whenever_it_comes(lab, make_release, comes_first):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    packets = [*carousel(release)]
    packets.insert(0 if comes_first else len(packets) // 2, said(release, is_halted=True, why="it bricks"))
    outcome, assembly = told(lab, packets, release.tsi).run(3600)
    assert (outcome, assembly) == (Outcome.NOT_YET, None)
    assert [event.reason for event in of(lab, Halted)] == ["its roll-out was halted: it bricks"]
    assert bool(of(lab, ImageFound)) is not comes_first
    assert list(lab.folder.glob("*.part")) == []


def test_a_release_that_comes_to_this_box_later_is_taken_then(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    later = bulletin_packet(release.tsi, bulletin(6, stage(release=release.header.release_id)))
    packets = [header_packet(release), said(release, share=0.0), *carousel(release), later, *carousel(release)]
    outcome, assembly = told(lab, packets, release.tsi).run(3600)
    assert outcome is Outcome.VERIFIED
    assert assembly.header == release.header
    assert len(of(lab, NotYet)) == 1


def test_another_release_is_taken_while_one_is_withheld(lab, make_release):
    halted, good = (make_release(SIZE, symbol_size=256, version=version) for version in ("1.2.0", "1.1.0"))
    packets = [said(halted, is_halted=True), *carousel(halted, good)]
    outcome, assembly = told(lab, packets, good.tsi).run(3600)
    assert outcome is Outcome.VERIFIED
    assert assembly.header == good.header


def test_without_a_key_a_bulletin_is_nothing(lab, make_release):
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    outcome, _ = lab.make([said(release, is_halted=True), *carousel(release)], release.tsi).run(3600)
    assert outcome is Outcome.VERIFIED


# --- operations of the disk that fail ---------------------------------------------------------------------


class FailingOs:
    """`os` as the part file's module knows it; one of its operations fails."""

    OPERATIONS = ("open", "ftruncate", "posix_fallocate", "pread", "pwrite", "fstat")

    def __init__(self, at, code):
        self._at, self._code, self._done = at, code, 0

    @property
    def has_failed(self):
        return self._done >= self._at

    def may_fail(self):
        self._done += 1
        if self._done == self._at:
            raise OSError(self._code, "the medium fails")

    def __getattr__(self, name):
        found = getattr(os, name)
        if name not in self.OPERATIONS:
            return found

        def operation(*arguments):
            self.may_fail()
            return found(*arguments)

        return operation

    def populate(self, rows):
        self._done += 1
        return self._code if self._done == self._at else 0


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_whatever_operation_of_the_part_file_fails_refuses_that_release_alone(
    lab, make_release, monkeypatch, code, is_resumed, record_property
):
    """And the next reception, with a disk that is well again, gets the image."""
    release = make_release(SIZE, symbol_size=256, version="1.1.0")
    packets = list(carousel(release))
    for at in count(1):
        if is_resumed:
            lab.make(packets[: len(packets) // 2], release.tsi).run(0.3)
            finish(lab)
        failing = FailingOs(at, code)
        with monkeypatch.context() as patched:
            patched.setattr(partfile, "os", failing)
            patched.setattr(ahead, "os", failing)
            patched.setattr(ahead, "populate", failing.populate)
            outcome, _ = lab.make(packets, release.tsi).run(1.0)
        finish(lab)
        if not failing.has_failed:
            assert outcome is Outcome.VERIFIED
            record_property("failing operations of part files", at - 1)
            assert at > 6
            return
        assert outcome is Outcome.REFUSED
        assert lab.make(packets, release.tsi).run(3600)[0] is Outcome.VERIFIED
        finish(lab)
        (lab.folder / "1.part").unlink()


def finish(lab):
    """Close what was made, once; the fixture finds nothing left to close."""
    lab.reception.close()
    lab.work.close()
    lab.reception = lab.work = SimpleNamespace(close=lambda: None)
