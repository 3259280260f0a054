"""Flash a release, or a stub, onto a board; sans I/O (docs/board.md, "Flashing").

    connect → check → raise the baud rate → begin → skip or send → read back → boot and show the banner

A board that resets, or a cable that is cut, takes the flasher back to `connect`; what the flash holds by then is not
sent again. Nothing is sent to a board that could not use it: wrong device, too big, a signature of no trusted key.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator

from construct import Container
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from settop.flasher.errors import FlashError
from settop.flasher.events import (
    AlreadyThere,
    Banner,
    Baud,
    Begun,
    BoardState,
    Connected,
    Connecting,
    Event,
    Flashed,
    Held,
    Note,
    Progress,
    Resuming,
    Sent,
    Stalled,
)
from settop.flasher.frames import PROTOCOL, Frame, Message, Place, Refusal
from settop.flasher.hail import hail
from settop.flasher.line import BoardReset, Line, Refused, ResetLine, Silence, Steps
from settop.flasher.transfer import Span, hash_s, held_until, send_body, spans_to_send

__all__ = ["Flasher", "Image", "Job", "StubImage", "hardware_of"]

PROGRESS_EVERY_S = 0.25
BANNER_QUIET_S = 1.0
BANNER_LONGEST_S = 10.0
MAX_RESTARTS = 20
STALL_S = 3.0


class Image(Frozen):
    """A release's image with its signed header."""

    header: SignedHeader
    content: bytes
    place: Place = Place.FREE_SLOT


class StubImage(Frozen):
    """A stub binary, its head read."""

    content: bytes
    hardware: Hardware
    version: int


class Job(Frozen):
    """What to do with a board. Without image and stub: read its state."""

    image: Image | None = None
    stub: StubImage | None = None
    baud: int = 921600
    connect_s: float = 10.0
    boot: bool = True
    inspect: bool = False
    resets: tuple[ResetLine, ...] = ()


def hardware_of(board: Container) -> Hardware:
    """Return what a board says it is."""
    return Hardware(board.hardware_oui, board.hardware_model, board.hardware_version)


class Flasher:
    """Run one job over a `Line`. The caller moves bytes and time:

    `advance(data, now_s)` takes what was read; then write `line.take_output()`, set the port to `line.baud`, and read
    until `deadline_s` at most. `is_done` when there is no more to do. Raises `FlashError`.
    """

    def __init__(self, job: Job, initial_baud: int, now_s: float) -> None:
        self._job = job
        self._initial_baud = initial_baud
        self.line = Line(initial_baud)
        self.line.now_s = now_s
        self.events: deque[Event] = deque()
        self.is_done = False
        self._board = Container()
        self._restarts = 0
        self._may_skip = True
        self._may_pull = True
        self._progress_s = now_s
        self._moved_s = now_s
        self._has_stalled = False
        self._steps: Steps = self._run()
        self.deadline_s = next(self._steps)

    # --- the caller's side --------------------------------------------------------------------------------

    def advance(self, data: bytes, now_s: float) -> None:
        """Take bytes and let time pass."""
        self.line.now_s = now_s
        self.line.receive(data)
        try:
            while (frame := self.line.next_frame()) is not None:
                self.deadline_s = self._steps.send(frame)
            if now_s >= self.deadline_s:
                self.deadline_s = self._steps.send(None)
        except StopIteration:
            self.is_done = True

    def _tell(self, event: Event) -> None:
        self.events.append(event)

    # --- the job -------------------------------------------------------------------------------------------

    def _run(self) -> Steps:
        self._tell(Connecting())
        yield from self._connect(self._job.connect_s)
        self._check_device()
        yield from self._persist(self._raise_baud)
        if self._job.inspect:
            yield from self._persist(self._inspect)
        if self._job.stub is not None:
            yield from self._persist(self._flash_stub)
        if self._job.image is not None:
            yield from self._persist(self._flash_image)
        if self._job.boot:
            yield from self._boot()

    def _persist(self, step: Callable[[], Steps]) -> Steps:
        """Do a step again, from where the board stands, when it resets or falls silent."""
        is_connected = True
        while True:
            try:
                if not is_connected:
                    yield from self._reconnect()
                yield from step()
                return
            except BoardReset:
                self._start_over("the board was reset")
            except Silence:
                self._start_over("no answer")
            except Refused as refused:
                if refused.refusal not in (Refusal.NO_TRANSFER, Refusal.INCOMPLETE):
                    raise
                self._start_over("the board lost track")
            is_connected = False

    def _start_over(self, why: str) -> None:
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise FlashError(
                "unstable_line", f"given up after {MAX_RESTARTS} attempts ({why}): check cable, power and baud rate"
            )
        self._tell(Resuming(why))

    def _reconnect(self) -> Steps:
        self.line.session = None
        self.line.baud = self._initial_baud
        yield from self._connect(self._job.connect_s)
        self._check_device()
        yield from self._raise_baud()

    # --- connect --------------------------------------------------------------------------------------------

    def _connect(self, patience_s: float) -> Steps:
        """Find the loader; say so when it is the first time, or another one."""
        is_first = self.line.session is None
        resets = self._job.resets if self._may_pull else ()
        self._board = yield from hail(self.line, patience_s, resets, self._tell)
        if is_first:
            self._tell(Connected(str(hardware_of(self._board)), self._board.stub_version))

    def _check_device(self) -> None:
        """Refuse before anything is sent what this board could not use."""
        ours = hardware_of(self._board)
        for made_for in [each.hardware for each in (self._job.stub,) if each is not None]:
            if not ours.accepts(made_for):
                raise FlashError("wrong_device", f"the stub is made for hardware {made_for}, this board is {ours}")
        if self._job.stub is not None and len(self._job.stub.content) > self._board.stub_capacity:
            raise FlashError("too_big", f"the stub does not fit into {self._board.stub_capacity:,} bytes")
        if self._job.image is not None:
            self._check_image(self._job.image, ours)

    def _check_image(self, image: Image, ours: Hardware) -> None:
        header = image.header
        if not ours.accepts(header.hardware):
            raise FlashError("wrong_device", f"made for hardware {header.hardware}, this board is {ours}")
        places = (Place.SLOT_A, Place.SLOT_B) if image.place is Place.FREE_SLOT else (image.place,)
        room = min(self._board.image_capacity[place] for place in places)
        if header.image_size > room:
            raise FlashError("too_big", f"the image has {header.image_size:,} bytes, the slot room for {room:,}")
        key = bytes(self._board.public_key)
        if any(key) and not header.is_signed_by(Ed25519PublicKey.from_public_bytes(key)):
            raise FlashError("bad_signature", "the release is not signed by the key that this board trusts")

    def _raise_baud(self) -> Steps:
        """Change the rate with a check and a way back."""
        wanted = min(self._job.baud, self._board.max_baud)
        if wanted == self.line.baud:
            return
        try:
            yield from self.line.ask(Message.BAUD, Message.OK, tries=1, baud=wanted)
        except Silence:
            pass  # the board may have heard it, and only its answer was lost
        except Refused:
            self._tell(Note(f"the board stays at {self.line.baud} baud"))
            return
        self.line.baud = wanted
        for _ in range(3):
            try:
                yield from self.line.ask(Message.HELLO, Message.ANNOUNCE, tries=1, protocol=PROTOCOL)
            except Silence:
                continue
            self._tell(Baud(wanted))
            return
        self.line.baud = self._initial_baud
        self._tell(Note(f"{wanted} baud does not work on this line; staying at {self._initial_baud}"))
        self._job = self._job.but(baud=self._initial_baud)
        yield from self._connect(self._job.connect_s)

    # --- what to do there -------------------------------------------------------------------------------------

    def _inspect(self) -> Steps:
        found = {}
        for place in (Place.SLOT_A, Place.SLOT_B, Place.EEPROM):
            work_s = hash_s(self._board, self._board.image_capacity[place])
            says, _ = yield from self.line.ask(Message.INSPECT, Message.INSPECTED, work_s, tries=3, place=place)
            found[place] = (says.failure, bytes(says.header))
        self._tell(BoardState(self._board, found))

    def _flash_image(self) -> Steps:
        image = self._job.image
        assert image is not None
        says, _ = yield from self.line.ask(
            Message.BEGIN, Message.BEGUN, self._begin_s(len(image.content)), place=image.place, header=image.header.raw
        )
        place = Place(says.place)
        if says.is_held:
            self._tell(Held(place, str(image.header.version)))
            return
        self._tell(Begun(place, len(image.content)))
        sent = yield from self._send_and_finish(image.content)
        self._tell(Flashed(place, str(image.header.version), sent))

    def _flash_stub(self) -> Steps:
        stub = self._job.stub
        assert stub is not None
        digest = hashlib.sha256(stub.content).digest()
        if bytes(self._board.stub_digest) == digest[:8]:
            self._tell(Held(Place.STUB, str(stub.version)))
            return
        yield from self.line.ask(
            Message.BEGIN_STUB, Message.BEGUN, self._begin_s(0), size=len(stub.content), sha256=digest
        )
        self._tell(Begun(Place.STUB, len(stub.content)))
        self._may_pull = False  # from here to the new stub's first words the board may be writing it
        sent = yield from self._send_and_finish(stub.content)
        self.line.session, self.line.baud = None, self._initial_baud
        yield from self._connect(self._job.connect_s)
        if bytes(self._board.stub_digest) != digest[:8]:
            raise FlashError("stub_not_replaced", "the board came back with its old stub: is its flash protected?")
        self._may_pull = True
        yield from self._raise_baud()
        self._tell(Flashed(Place.STUB, str(stub.version), sent))

    def _begin_s(self, size_bytes: int) -> float:
        erase_ms: int = self._board.erase_ms
        return 3 * erase_ms / 1e3 + hash_s(self._board, size_bytes)

    def _send_and_finish(self, content: bytes) -> Generator[float, Frame | None, Sent]:
        """Send, have it read back; say what that took."""
        began_s = self.line.now_s
        spans = [Span(0, len(content), False)]
        if self._may_skip:
            spans = yield from spans_to_send(self.line, self._board, content)
        total, held = len(content), held_until(spans, len(content))
        if held:
            self._tell(AlreadyThere(held, total - held))
        begin_s = self._moved_s = self._progress_s = self.line.now_s

        def progress(acked: int) -> None:
            self._moved_s, self._has_stalled = self.line.now_s, False
            if self.line.now_s < self._progress_s and acked < total:
                return
            self._progress_s = self.line.now_s + PROGRESS_EVERY_S
            rate = self._rate(begin_s, acked - held_until(spans, acked))
            self._tell(Progress(acked, total, round(rate, 1)))

        yield from self._watched(send_body(self.line, self._board, content, spans, progress))
        sent_s = self.line.now_s - began_s
        try:
            says, _ = yield from self.line.ask(Message.END, Message.DONE, self._begin_s(total))
        except Refused as refused:
            if refused.refusal == Refusal.DIGEST_MISMATCH and self._may_skip and held:
                self._may_skip = False
                self._tell(Note("what was skipped does not read back right: sending all of it"))
                raise Silence from None
            raise
        if bytes(says.sha256) != hashlib.sha256(content).digest():
            raise Refused(Refusal.DIGEST_MISMATCH)
        return Sent(
            size_bytes=total,
            written_bytes=says.written_bytes,
            held_bytes=held,
            elapsed_s=round(sent_s, 3),
            bytes_per_s=round((total - held) / max(sent_s, 1e-6)),
            sha256=bytes(says.sha256).hex(),
        )

    def _rate(self, began_s: float, done_bytes: int) -> float:
        return done_bytes / max(self.line.now_s - began_s, 1e-3)

    def _watched(self, steps: Steps) -> Steps:
        """Pass a transfer through, and warn once when it stands still."""
        frame = None
        deadline_s = next(steps)
        while True:
            frame = yield min(deadline_s, self._moved_s + STALL_S if not self._has_stalled else deadline_s)
            if frame is None and self.line.now_s < deadline_s:
                self._has_stalled = True
                self._tell(Stalled(round(self.line.now_s - self._moved_s, 1)))
                continue
            try:
                deadline_s = steps.send(frame)
            except StopIteration:
                return

    def _boot(self) -> Steps:
        """Leave the loader, and listen to what the board says then."""
        self.line.text.clear()
        try:
            yield from self.line.ask(Message.BOOT, Message.OK, tries=3)
        except Silence:
            self._tell(Note("no answer to the request to boot; listening anyway"))
        except BoardReset:
            pass
        self.line.baud = self._initial_baud
        begun_s = quiet_since_s = self.line.now_s
        shown = 0
        while self.line.now_s - quiet_since_s < BANNER_QUIET_S and self.line.now_s - begun_s < BANNER_LONGEST_S:
            yield self.line.now_s + 0.05
            self.line.flush_text()
            if len(self.line.text) > shown:
                shown, quiet_since_s = len(self.line.text), self.line.now_s
        self._tell(Banner(self.line.text.decode(errors="replace").strip()))
