"""What the registry holds: releases, carousels, tokens. All frozen; a decision makes a new one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

import msgspec

from carousel.errors import OperatorError
from headend.registry.hours import Hours, RateBps, most_bps, rate_at

__all__ = [
    "Airing",
    "Body",
    "BudgetError",
    "CarouselChange",
    "CarouselName",
    "CarouselRecord",
    "CarouselSettings",
    "Kind",
    "Record",
    "ReleaseKey",
    "ReleaseRecord",
    "Role",
    "RoleError",
    "RolloutRecord",
    "SsuStream",
    "StaleError",
    "State",
    "TakenError",
    "TokenRecord",
    "UnknownError",
    "Update",
    "wanted_bps",
]

MIN_PID, MAX_PID = 0x22, 0x1FFE - 2 * 16
"""Of the first of 16 releases, so that PCR and PMT fit below it, and two PIDs for each release above."""
CarouselName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="a-z, 0-9 and dashes")]
ReleaseKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$", description="a release ID, 32 hex digits")]
Group = Annotated[str, msgspec.Meta(max_length=64, description="239.255.77.1:5077 or [ff15::4d]:5077")]
Interface = Annotated[str, msgspec.Meta(min_length=1, max_length=15)]
Number16 = Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
Weight = Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]
DeadlineS = Annotated[float, msgspec.Meta(ge=1e-1, le=1e7)]


class UnknownError(OperatorError):
    """Nothing of this name."""


class TakenError(OperatorError):
    """It collides with what there is."""


class StaleError(OperatorError):
    """Somebody else changed it meanwhile."""


class BudgetError(OperatorError):
    """The interface does not bear so much."""


class RoleError(OperatorError):
    """The role does not allow it."""


class Role(Enum):
    """What a token allows: each role may do what those before it may."""

    VIEW = "view"
    OPERATE = "operate"
    ADMIN = "admin"

    def allows(self, needed: "Role") -> bool:
        """Say whether this role may do what needs that one."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Kind(Enum):
    """The kinds of things that a registry holds."""

    CAROUSEL = "carousel"
    RELEASE = "release"
    TOKEN = "token"
    ROLLOUT = "rollout"


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a thing."""


class ReleaseRecord(Body, frozen=True):
    """A release file in the store. `length_bytes` is what one image's worth takes on the wire."""

    id: ReleaseKey
    name: str
    version: str
    hardware: str
    security_counter: int
    image_bytes: int
    file_bytes: int
    length_bytes: int
    packet_bytes: int
    key_id: str
    header: str
    uploaded_unix_s: float
    uploaded_by: str
    has_ssu: bool = False


class Airing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release on a carousel: how much it is wanted beside others, within what time, since when it is there."""

    release: ReleaseKey
    weight: Weight = 1.0
    deadline_s: DeadlineS | None = None
    aired_unix_s: float = 0.0


class SsuStream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DVB-SSU transport stream, as `headend cast --ssu` has it: `pid` is the first release's."""

    service_id: Number16 = 1
    network_id: Number16 = 1
    ts_id: Number16 = 1
    pid: Annotated[int, msgspec.Meta(ge=MIN_PID, le=MAX_PID)] = 0x101
    has_rtp: bool = False
    has_pcr: bool = False


class CarouselSettings(Body, frozen=True):
    """Where a carousel casts, and how fast; `hours` have a rate of their own. `core` binds it to one processor."""

    name: CarouselName
    group: Group
    interface: Interface
    rate_bps: RateBps
    ttl: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 0
    announce_interval_s: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 0.25
    pair: Annotated[str, msgspec.Meta(pattern="^(first|second)$")] | None = None
    ssu: SsuStream | None = None
    hours: tuple[Hours, ...] = ()
    core: Annotated[int, msgspec.Meta(ge=0, le=4095)] | None = None


class CarouselChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be other than it is; what is left out, or null, stays. `hours` replace those of before."""

    rate_bps: RateBps | None = None
    is_paused: bool | None = None
    hours: tuple[Hours, ...] | None = None


class CarouselRecord(CarouselSettings, frozen=True):
    """A carousel: its settings, and what it casts."""

    is_paused: bool = False
    airings: tuple[Airing, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        """What no two carousels may share, but a pair."""
        return self.group, self.interface

    def rate_at(self, day_s: float) -> float:
        """Return its rate at a time of day, in seconds after midnight, local time."""
        return rate_at((self.rate_bps, self.hours), day_s)


def wanted_bps(carousels: Iterable[CarouselRecord]) -> float:
    """Return the most that carousels come to together at any time of the day."""
    return most_bps([(each.rate_bps, each.hours) for each in carousels])


class TokenRecord(Body, frozen=True):
    """A token: whose it is, what it may do, and the SHA-256 of it. The token itself is kept nowhere."""

    name: CarouselName
    role: Role
    sha256: str


class RolloutRecord(Body, frozen=True):
    """All that bulletins say, as headend/rollout writes it."""

    decisions: dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A thing, and the number of the audit entry that changed it last."""

    body: Body
    revision: int


@dataclass(frozen=True)
class State:
    """All that is decided. Never changed: a transaction makes the next."""

    things: Mapping[tuple[Kind, str], Record] = field(default_factory=dict)

    def find(self, kind: Kind, key: str) -> Record:
        """Return a thing; `UnknownError` in a sentence."""
        found = self.things.get((kind, key))
        if found is None:
            raise UnknownError(f"there is no {kind.value} {key!r} here")
        return found

    def of_kind(self, kind: Kind) -> dict[str, Record]:
        """Return all things of a kind by their keys, in their order."""
        return {key: record for (its_kind, key), record in sorted(self.things.items(), key=_order) if its_kind is kind}

    def carousel(self, name: str) -> CarouselRecord:
        """Return a carousel; `UnknownError`."""
        body = self.find(Kind.CAROUSEL, name).body
        assert isinstance(body, CarouselRecord)
        return body

    def release(self, key: str) -> ReleaseRecord:
        """Return a release; `UnknownError`."""
        body = self.find(Kind.RELEASE, key).body
        assert isinstance(body, ReleaseRecord)
        return body

    @property
    def carousels(self) -> list[CarouselRecord]:
        """All carousels, by name."""
        return [record.body for record in self.of_kind(Kind.CAROUSEL).values()]  # type: ignore[misc]

    @property
    def releases(self) -> list[ReleaseRecord]:
        """All releases, by ID."""
        return [record.body for record in self.of_kind(Kind.RELEASE).values()]  # type: ignore[misc]


def _order(item: tuple[tuple[Kind, str], Any]) -> tuple[str, str]:
    (kind, key), _ = item
    return kind.value, key


BODIES: dict[Kind, type[Body]] = {Kind.CAROUSEL: CarouselRecord, Kind.RELEASE: ReleaseRecord, Kind.TOKEN: TokenRecord}
BODIES |= {Kind.ROLLOUT: RolloutRecord}


@dataclass(frozen=True)
class Update:
    """What one decision does: a thing's new body (None: it is gone), and what to call it in the log."""

    action: str
    kind: Kind
    key: str
    body: Body | None
    detail: str = ""
