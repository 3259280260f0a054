"""The loader as a state machine: any requests, times and resets, each answer foretold by a small model of the board.

The model knows the flash of the slot that is open, byte by byte, what the transfer wants next, and the line's rate. It
is written from docs/board.md; what it says of a frame must be what the C says, and at the end both flashes are alike.
"""

import hashlib

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from carousel.crc import crc32
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from settop.flasher.frames import (
    INITIAL_BAUD,
    MAX_FRAME_BYTES,
    MAX_SUMS,
    Message,
    Place,
    Refusal,
    build_frame,
    parse_frame,
    parse_payload,
)
from settop.flasher.slip import SlipDecoder, slip_encode
from settop.store.staterecord import Failure, SlotState, StateRecord
from tests.firmware_stub.core.interruptions import COUNTERS, GEOMETRY, Scenario, prepared
from tests.firmware_stub.stubhost import header_of, image_of

pytestmark = pytest.mark.stub

SECTOR, SIZE = GEOMETRY.sector_bytes, 700
NAMES = {Place.SLOT_A: "slot_a", Place.SLOT_B: "slot_b", Place.EEPROM: "eeprom"}
MAX_BAUD = 4_000_000
IDLE_MS, WAIT_MS, TRIAL_MS, BAUD_IDLE_MS = 30_000, 300, 1_000, 3_000

places = st.sampled_from([0, 1, 1, 2, 3, 7, 255, 255])
releases = st.sampled_from(["2.0.0", "2.0.0", "2.0.0", "1.0.0", "too big", "other hardware", "old counter", "damaged"])
steps = st.sampled_from(["next", "next", "next", "again", "ahead", "beyond"])
lengths = st.sampled_from([1, 3, 4, 128, 188, 512, 700, 1024])


def header_for(kind):
    if kind in COUNTERS:
        return header_of(kind, COUNTERS[kind]).raw
    if kind == "damaged":
        raw = bytearray(header_of("2.0.0", 2).raw)
        raw[60] ^= 1
        return bytes(raw)
    fields = {"too big": {"size": 1100}, "other hardware": {"hardware": Hardware(1, 2)}, "old counter": {"counter": 0}}
    return header_of("2.5.0", **({"counter": 2} | fields[kind])).raw


class Transfer:
    """What the board has open: the model."""

    def __init__(self, place, header, flash):
        self.place, self.header = place, header
        self.image_sha256 = SignedHeader.parse(header).image_sha256
        self.flash = bytearray(flash)
        self.offset = self.ready_until = self.written = 0

    def data(self, offset, piece):
        """Take a piece; return the offset wanted and whether it is a gap, or a refusal."""
        if offset != self.offset:
            return self.offset, offset > self.offset
        if len(piece) > SIZE - offset:
            return Refusal.TOO_BIG
        if len(piece) % 4 and offset + len(piece) != SIZE:
            return Refusal.MALFORMED
        while piece:
            begin = self.offset - self.offset % SECTOR
            end = begin + SECTOR
            if self.offset >= self.ready_until:
                self.ready_until = end
                if self.offset == begin or self.flash[self.offset : end].strip(b"\xff"):
                    went_back, self.offset = self.offset > begin, begin
                    self.flash[begin:end] = b"\xff" * SECTOR
                    if went_back:
                        return begin, True
            now, piece = piece[: end - self.offset], piece[end - self.offset :]
            self.flash[self.offset : self.offset + len(now)] = now
            self.offset += len(now)
            self.written += len(now)
        return self.offset, False

    def skip(self, offset, to):
        if offset != self.offset:
            return self.offset, offset > self.offset
        if not offset <= to <= SIZE or (to % 4 and to != SIZE):
            return Refusal.MALFORMED
        self.offset = to
        return self.offset, False

    def end(self):
        if self.offset < SIZE:
            return Refusal.INCOMPLETE if self.offset else Refusal.NOTHING_WRITTEN
        is_right = hashlib.sha256(self.flash[:SIZE]).digest() == self.image_sha256
        return None if is_right else Refusal.DIGEST_MISMATCH


class Loader(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.board = prepared(Scenario(("1.0.0",), "install", 6))  # slot A is confirmed
        self.verifies = {Place.SLOT_A: Failure.NONE, Place.SLOT_B: Failure.HEADER_DAMAGED, Place.EEPROM: Failure.NONE}
        self.transfer = None
        self.is_trial = False
        self.now_ms = self.seq = 0
        self.reset()

    @rule()
    def reset(self):
        self.board.set_now(self.now_ms)
        self.board.loader_start(self.now_ms + 1, 0)
        (announced,) = self.answers()
        assert (announced.type, announced.seq) == (Message.ANNOUNCE, 0)
        assert parse_payload(announced)[0].session == self.now_ms + 1
        self.transfer, self.baud, self.heard_ms = None, INITIAL_BAUD, self.now_ms
        self.has_heard = self.is_baud_on_trial = self.is_done = False

    def answers(self):
        return [parse_frame(piece) for piece in SlipDecoder(MAX_FRAME_BYTES).feed(self.board.take_output())]

    def ask(self, message, tail=b"", **fields):
        """Say a frame; return the type of its one answer, its fields, and what follows them."""
        self.seq = (self.seq + 1) % 65536
        wrapped = slip_encode(build_frame(message, self.seq, tail, **fields))
        self.board.loader_receive(wrapped, len(wrapped))
        (answer,) = [frame for frame in self.answers() if frame.type is not Message.BUSY]
        assert answer.seq == self.seq
        self.heard_ms, self.has_heard, self.is_baud_on_trial = self.now_ms, True, False
        return answer.type, *parse_payload(answer)

    def refused(self, refusal, message, tail=b"", **fields):
        kind, fields, _ = self.ask(message, tail, **fields)
        assert (kind, fields.get("refusal")) == (Message.REFUSED, refusal)

    @precondition(lambda self: not self.is_done)
    @rule()
    def hello(self):
        kind, fields, _ = self.ask(Message.HELLO, protocol=1)
        assert kind is Message.ANNOUNCE
        record = StateRecord.parse(bytes(fields.record))
        assert record.active == 0
        assert (record.slots[1].state is SlotState.TRIAL) == self.is_trial

    @precondition(lambda self: not self.is_done)
    @rule(place=places, kind=releases)
    def begin(self, place, kind):
        header = header_for(kind)
        self.transfer = None
        refusal = self.refusal_of(place, kind)
        if refusal is not None:
            self.refused(refusal, Message.BEGIN, place=place, header=header)
            return
        answer, fields, _ = self.ask(Message.BEGIN, place=place, header=header)
        is_held = kind == "1.0.0" and place in (0, 255)
        taken = Place.SLOT_A if is_held else Place.SLOT_B if place == Place.FREE_SLOT else Place(place)
        assert (answer, fields.place, bool(fields.is_held)) == (Message.BEGUN, taken, is_held)
        if not is_held:
            self.transfer = Transfer(taken, header, self.board.image(NAMES[taken], 2 * SECTOR))
            self.verifies[taken] = Failure.HEADER_DAMAGED
            self.is_trial = self.is_trial and taken is not Place.SLOT_B

    @precondition(lambda self: self.transfer is None and not self.is_done)
    @rule(place=st.sampled_from([1, 2, 255]))
    def begin_well(self, place):
        """Most of what there is to find lies behind a transfer that is open."""
        self.begin(place, "2.0.0")

    @staticmethod
    def refusal_of(place, kind):
        """What is wrong with the header comes first, then what is wrong with the place."""
        if place != Place.EEPROM and kind == "old counter":
            return Refusal.SECURITY_COUNTER  # the factory image is below no floor
        if kind in ("damaged", "other hardware"):
            return Refusal.HEADER_DAMAGED if kind == "damaged" else Refusal.WRONG_HARDWARE
        if kind == "1.0.0" and place in (0, 255):
            return None  # it is what slot A holds
        if place in (3, 7) or kind == "too big":
            return Refusal.MALFORMED if place in (3, 7) else Refusal.TOO_BIG
        return Refusal.ACTIVE_SLOT if place == 0 else None

    def expect_offset(self, expected, message, tail=b"", **fields):
        if isinstance(expected, Refusal):
            self.refused(expected, message, tail, **fields)
            return
        kind, fields, _ = self.ask(message, tail, **fields)
        assert (kind, fields.offset, bool(fields.is_gap)) == (Message.OFFSET, *expected)

    @precondition(lambda self: not self.is_done)
    @rule(step=steps, length=lengths, is_right=st.booleans())
    def data(self, step, length, is_right):
        wanted = self.transfer.offset if self.transfer else 0
        offset = {"next": wanted, "again": max(0, wanted - length), "ahead": wanted + length, "beyond": 2**32 - 4}[step]
        image = image_of("2.0.0") if is_right else bytes(SIZE)
        piece = (image[offset:] + bytes(2048))[: min(length, SIZE - offset) if is_right and offset < SIZE else length]
        expected = self.transfer.data(offset, piece) if self.transfer else Refusal.NO_TRANSFER
        self.expect_offset(expected, Message.DATA, piece, offset=offset)

    @precondition(lambda self: not self.is_done)
    @rule(step=steps, length=st.sampled_from([0, 4, 6, 300, 512, 700]))
    def skip(self, step, length):
        wanted = self.transfer.offset if self.transfer else 0
        offset = {"next": wanted, "again": max(0, wanted - 4), "ahead": wanted + 4, "beyond": 2**32 - 4}[step]
        to = min(offset + length, 2**32 - 1)
        expected = self.transfer.skip(offset, to) if self.transfer else Refusal.NO_TRANSFER
        self.expect_offset(expected, Message.SKIP, offset=offset, to=to)

    @precondition(lambda self: not self.is_done)
    @rule()
    def send_all(self):
        """A host that does what it is told: from the offset wanted, until nothing is."""
        while self.transfer is not None and self.transfer.offset < SIZE:
            offset = self.transfer.offset
            piece = image_of("2.0.0")[offset : offset + 256]
            self.expect_offset(self.transfer.data(offset, piece), Message.DATA, piece, offset=offset)

    @precondition(lambda self: not self.is_done)
    @rule()
    def end(self):
        transfer = self.transfer
        refusal = transfer.end() if transfer else Refusal.NO_TRANSFER
        if refusal is not None:
            self.refused(refusal, Message.END)
            self.transfer = None if refusal is Refusal.DIGEST_MISMATCH else transfer
            return
        kind, fields, _ = self.ask(Message.END)
        assert (kind, fields.place, fields.written_bytes) == (Message.DONE, transfer.place, transfer.written)
        assert bytes(fields.sha256) == transfer.image_sha256
        assert self.board.region(NAMES[transfer.place])[:256] == transfer.header
        self.verifies[transfer.place] = Failure.NONE
        self.is_trial = self.is_trial or transfer.place is Place.SLOT_B
        self.transfer = None

    @precondition(lambda self: self.transfer is not None and not self.is_done)
    @rule()
    def install_all(self):
        self.send_all()
        self.end()

    @precondition(lambda self: not self.is_done)
    @rule(place=st.integers(0, 4))
    def inspect(self, place):
        if place > Place.EEPROM:
            self.refused(Refusal.MALFORMED, Message.INSPECT, place=place)
            return
        kind, fields, _ = self.ask(Message.INSPECT, place=place)
        assert (kind, fields.place, fields.failure) == (Message.INSPECTED, place, self.verifies[Place(place)])
        assert bytes(fields.header) == self.board.region(NAMES[Place(place)])[:256]

    @precondition(lambda self: not self.is_done)
    @rule(
        offset=st.sampled_from([0, 128, 512, 696, 700, 1024, 2**32 - 1]),
        span=st.sampled_from([0, 1, 128, 512, 2**31]),
        count=st.sampled_from([0, 1, 2, 5, MAX_SUMS, MAX_SUMS + 1]),
    )
    def sums(self, offset, span, count):
        asked = {"offset": offset, "span_bytes": span, "count": count}
        if self.transfer is None:
            self.refused(Refusal.NO_TRANSFER, Message.SUMS, **asked)
        elif span == 0 or count > MAX_SUMS or offset + span * count >= SIZE + span:
            self.refused(Refusal.MALFORMED, Message.SUMS, **asked)
        else:
            kind, fields, sums = self.ask(Message.SUMS, **asked)
            spans = [bytes(self.transfer.flash[at : min(at + span, SIZE)]) for at in range(offset, SIZE, span)][:count]
            assert (kind, fields.offset) == (Message.SUMS_ARE, offset)
            assert sums == b"".join(crc32(piece).to_bytes(4, "little") for piece in spans)

    @precondition(lambda self: not self.is_done)
    @rule(baud=st.sampled_from([0, 299, 300, 9600, 921_600, MAX_BAUD, MAX_BAUD + 1]))
    def change_baud(self, baud):
        if not 300 <= baud <= MAX_BAUD:
            self.refused(Refusal.BAUD_RATE, Message.BAUD, baud=baud)
            return
        assert self.ask(Message.BAUD, baud=baud)[0] is Message.OK
        self.baud, self.is_baud_on_trial = baud, True

    @precondition(lambda self: not self.is_done)
    @rule()
    def boot(self):
        assert self.ask(Message.BOOT)[0] is Message.OK
        assert not self.board.loader_tick()
        self.is_done, self.baud = True, INITIAL_BAUD

    @precondition(lambda self: not self.is_done)
    @rule(passed_ms=st.sampled_from([10, 300, 301, 1_000, 1_001, 3_001, 29_000, 30_001]))
    def wait(self, passed_ms):
        self.now_ms += passed_ms
        self.board.set_now(self.now_ms)
        silent_ms = self.now_ms - self.heard_ms
        stays = silent_ms <= (IDLE_MS if self.has_heard else WAIT_MS)
        assert bool(self.board.loader_tick()) == stays
        if silent_ms > (TRIAL_MS if self.is_baud_on_trial else BAUD_IDLE_MS) or not stays:
            self.baud, self.is_baud_on_trial = INITIAL_BAUD, False
        self.is_done = not stays

    @invariant()
    def it_is_as_the_model_says(self):
        assert self.board.baud() == self.baud
        assert self.board.violations() == 0
        assert self.board.image("slot_a", SIZE) == image_of("1.0.0")
        if self.transfer is not None:
            assert self.board.image(NAMES[self.transfer.place], 2 * SECTOR) == bytes(self.transfer.flash)

    def teardown(self):
        if hasattr(self, "board"):
            assert self.board.boot() is not None or self.verifies[Place.EEPROM] is not Failure.NONE


Loader.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLoader = Loader.TestCase
