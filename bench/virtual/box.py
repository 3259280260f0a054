"""A box in one thread and in memory: the real wire, the real stitching, jobs done at once."""

from collections import deque
from collections.abc import Callable, Sequence

from bench.virtual.memory import landings_in_memory
from carousel.batch import Batch
from carousel.buffers import Buffer
from carousel.fec import Codec, codec
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing, Piece
from settop.events import Collect, Effect, Event, GivenUp
from settop.stitch.assembly import Assembly
from settop.stitch.drafts import MOST_DRAFT_BYTES
from settop.stitch.jobs import run_job
from settop.stitch.policy import BoxProfile
from settop.stitch.receiver import TAKES_AGAIN, Receiver
from settop.stitch.seam import Announcement, Arrival, Bulletin, Symbols, Wire
from settop.wire.flute import FluteWire

__all__ = ["InlineBox", "Landings"]

LOOK_INTERVAL_S = 0.2

Landings = Callable[[ReleaseLayout], Sequence[Landing]]


class InlineBox:
    """A box that listens to one session. `events` show what became of it; virtual time begins with `tune_in`."""

    def __init__(
        self,
        profile: BoxProfile,
        tsi: int,
        can_decode: bool = True,
        landings: Landings = landings_in_memory,
        wire: Wire | None = None,
        work_codec: Codec | None = None,
        hear_bulletin: Callable[[bytes, float], None] | None = None,
        is_resumed: bool = False,
        *,
        most_draft_bytes: int = MOST_DRAFT_BYTES,
    ) -> None:
        self.events: list[Event] = []
        self.wire: Wire = wire or FluteWire(tsi, profile.trust)
        self._profile = profile
        self._can_decode, self._most_draft_bytes = can_decode, most_draft_bytes
        self._make_landings = landings
        self._codec = work_codec or codec()
        self._hear_bulletin = hear_bulletin
        self._is_resumed = is_resumed
        self._looked_s = 0.0
        self.receiver = Receiver(profile, can_decode, 0.0, most_draft_bytes)

    def tune_in(self, now: float) -> None:
        """Begin to listen, unless this box does already."""
        if not self.receiver.candidates:
            self.receiver = Receiver(self._profile, self._can_decode, now, self._most_draft_bytes)

    def receive(self, batch: Batch, now: float) -> None:
        """Take a batch, and do all work that it makes possible."""
        self.receive_pieces(batch.buffer, [Piece(0, batch.stride, batch.stride * batch.count)], now)

    def receive_pieces(self, buffer: Buffer, pieces: Sequence[Piece], now: float) -> None:
        """Take the packets of one wake-up, of whatever sizes."""
        self._take(self.wire.receive(buffer, pieces, now), now)
        if now - self._looked_s >= LOOK_INTERVAL_S:
            self._looked_s = now
            self._perform(self.receiver.look_around(self.wire.heard, now), now)
        self.work(now)

    def work(self, now: float) -> None:
        """Do the jobs that there are."""
        while (job := self.receiver.next_job()) is not None:
            self._perform(self.receiver.finish_job(run_job(job, self._codec)), now)

    def _take(self, arrivals: Sequence[Arrival], now: float) -> None:
        self._take_symbols([arrival for arrival in arrivals if isinstance(arrival, Symbols)])
        for arrival in arrivals:
            if isinstance(arrival, Announcement):
                self._perform(self.receiver.announce(arrival.header, now), now)
            elif isinstance(arrival, Bulletin) and self._hear_bulletin is not None:
                self._hear_bulletin(arrival.raw, now)

    def _take_symbols(self, symbols: Sequence[Symbols]) -> None:
        times = 0
        while any([self.receiver.take(each) for each in symbols]) and times < TAKES_AGAIN:
            symbols, times = self.wire.take_again(), times + 1

    def _perform(self, effects: Sequence[Effect], now: float) -> None:
        to_do = deque(effects)
        while to_do:
            match to_do.popleft():
                case Collect(header, layout):
                    landings = self._make_landings(layout)
                    to_do.extendleft(self.receiver.collect(header, landings, resumed=self._is_resumed, now=now))
                    self._take_symbols(self.wire.open(header, layout, landings, now))
                case GivenUp(release):
                    self.wire.close(release)
                    self.wire.forget(release)
                case Event() as event:
                    self.events.append(event)

    @property
    def assemblies(self) -> dict[ReleaseId, Assembly]:
        """What is collected."""
        return {
            release: standing.assembly
            for release, standing in self.receiver.candidates.items()
            if standing.assembly is not None
        }

    def image(self, assembly: Assembly) -> bytes:
        """Return the image that an assembly has stitched together."""
        return assembly.landings[0].source.tobytes()[: assembly.header.image_size]
