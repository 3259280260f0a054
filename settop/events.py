"""What happens in a box, as values: the same from the core to the terminal, JSON lines and metrics.

`event` is its name in JSON, its fields are the fields there, in this order (docs/operations.md). One without a name is
for the driver alone. `Collect` and `GivenUp` are instructions: the receiver wants it done and does not do it.
"""

from typing import Any, ClassVar

from carousel.event import Event
from carousel.flute.toi import toi_base
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId, Version
from carousel.release.layout import ReleaseLayout

__all__ = [
    "Admitted",
    "BlockVerified",
    "Boot",
    "BulletinHeard",
    "Collect",
    "CommandFailed",
    "Confirmed",
    "Effect",
    "Event",
    "Forgotten",
    "GateWaiting",
    "GivenUp",
    "Halted",
    "ImageFound",
    "ImageRefused",
    "ImageVerified",
    "Installed",
    "Kept",
    "Listening",
    "MarkedBad",
    "NotYet",
    "Note",
    "Nothing",
    "PassedOver",
    "Progress",
    "Reported",
    "RunsAlready",
    "Suspicion",
    "TrialHalted",
    "UpToDate",
    "WouldBoot",
    "fields_of",
]


class Note(Event):
    """Something that a user should know, in a sentence."""

    event: ClassVar[str] = "note"
    text: str


class Listening(Event):
    """The box has joined its group."""

    event: ClassVar[str] = "listening"
    group: str
    interface: str
    crc: str
    """Which implementation of the CRC-32."""
    gro: bool


class ImageFound(Event):
    """An acceptable release is on the air; its symbols are collected from now on."""

    event: ClassVar[str] = "image_found"
    name: str
    version: Version
    image_size: int
    release: ReleaseId
    """In JSON `toi_base`, the number that names it on the wire."""
    resumed: bool
    elapsed_s: float


class ImageRefused(Event):
    """An authentic release that this box does not take, and why."""

    event: ClassVar[str] = "refused"
    version: Version
    name: str
    reason: str


class BulletinHeard(Event):
    """New decisions are in force, signed by a key that this box trusts for bulletins."""

    event: ClassVar[str] = "bulletin"
    epoch: int
    key_id: bytes


class NotYet(Event):
    """A release that this box will take, but not yet: its roll-out has not come to this box."""

    event: ClassVar[str] = "not_yet"
    version: Version
    name: str
    reason: str


class Halted(Event):
    """A release whose roll-out was halted: what was collected of it is dropped."""

    event: ClassVar[str] = "halted"
    version: Version
    name: str
    reason: str


class TrialHalted(Event):
    """The image on trial was given up, as its roll-out was halted."""

    event: ClassVar[str] = "trial_halted"
    source: str
    version: Version
    reason: str


class GateWaiting(Event):
    """The box waits to log in, and why."""

    event: ClassVar[str] = "waiting"
    why: str


class Admitted(Event):
    """The box may log in, and why."""

    event: ClassVar[str] = "admitted"
    why: str


class Reported(Event):
    """The box has reported of a trial, as a bulletin asked for."""

    event: ClassVar[str] = "reported"
    kind: str
    to: str


class UpToDate(Event):
    """What is on the air is what this box has."""

    event: ClassVar[str] = "up_to_date"
    version: Version


class BlockVerified(Event):
    """A source block of the image is whole and its digest matches."""

    release: ReleaseId
    sbn: int


class Suspicion(Event):
    """A symbol of this block, or the block, does not match its digest: somebody forges symbols."""

    event: ClassVar[str] = "suspicious"
    release: ReleaseId
    """Not in JSON."""
    block: int


class Progress(Event):
    """How far the most complete release is."""

    event: ClassVar[str] = "progress"
    version: Version
    useful_symbols: int
    needed_symbols: int
    received_symbols: int
    blocks_done: int
    blocks: int
    rate_bps: int
    loss: float
    elapsed_s: float


class ImageVerified(Event):
    """Every block of the image matches the digests under the signed header."""

    event: ClassVar[str] = "image_verified"
    version: Version
    sha256: bytes
    image_size: int
    elapsed_s: float
    received_symbols: int
    needed_symbols: int
    duplicate_symbols: int
    corrupt_packets: int
    rejected_symbols: int
    socket_drops: int
    loss: float
    rate_bps: int
    """At which its symbols were heard, from when it was found to the last of them; 0: all came at once."""
    rejected: dict[str, int]
    """Why packets were rejected, and how many."""


class Installed(Event):
    """The image is in a slot, on trial."""

    event: ClassVar[str] = "installed"
    slot: str
    version: Version


class Kept(Event):
    """A reception was interrupted; what came of the most complete release is kept for the next run."""

    event: ClassVar[str] = "kept"
    share: float
    """Of the symbols that are needed."""


class Nothing(Event):
    """Nothing acceptable came before the deadline."""

    event: ClassVar[str] = "nothing"
    timeout_s: float
    heard: dict[str, int]
    """What was rejected, by reason."""
    why: str
    """The likeliest cause, in a sentence."""


class Boot(Event):
    """An image starts, and why."""

    event: ClassVar[str] = "boot"
    source: str
    version: Version
    reason: str


class PassedOver(Event):
    """An image was to start and can't."""

    event: ClassVar[str] = "passed_over"
    source: str
    reason: str


class WouldBoot(Event):
    """What `boot` would start; nothing was started, and no try counted."""

    event: ClassVar[str] = "would_boot"
    source: str
    version: Version
    reason: str


class RunsAlready(Event):
    """What `boot` would start runs already."""

    event: ClassVar[str] = "runs_already"
    source: str
    version: Version
    reason: str


class CommandFailed(Event):
    """What was to start the image did not."""

    event: ClassVar[str] = "command_failed"
    exit_code: int
    """128 and more: it died of the signal with this number less 128."""


class MarkedBad(Event):
    """A slot's image was given up by a person; it is not installed again."""

    event: ClassVar[str] = "marked_bad"
    source: str


class Forgotten(Event):
    """A slot was emptied; what failed there may be installed again."""

    event: ClassVar[str] = "forgotten"
    source: str


class Confirmed(Event):
    """An image works, and is what boots from now on."""

    event: ClassVar[str] = "confirmed"
    source: str


class Collect(Frozen):
    """Get memory for this release, then call `Receiver.collect`; or say with `decline` that there is none."""

    header: SignedHeader
    layout: ReleaseLayout


class GivenUp(Frozen):
    """Let go of this release, which made room for a better one: close it, drain its jobs, then remove its file."""

    release: ReleaseId


Effect = Collect | GivenUp | Event


def fields_of(event: Event) -> dict[str, Any]:
    """Return the fields as JSON has them, in order."""
    told: dict[str, Any] = {}
    for name, found in event.fields().items():
        match found:
            case ReleaseId() if isinstance(event, ImageFound):
                told["toi_base"] = toi_base(found)
            case ReleaseId():
                pass
            case Version():
                told[name] = str(found)
            case bytes():
                told[name] = found.hex()
            case _:
                told[name] = found
    return told
