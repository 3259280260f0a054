"""What the API shows: of what is decided (the registry), and of what is on the air (the processes)."""

from importlib import metadata
from typing import Any

import msgspec

from carousel.release.identity import ReleaseId
from headend.registry.model import CarouselRecord, Kind, ReleaseRecord, Role, TokenRecord, wanted_bps
from headend.serve.headend import Headend
from headend.serve.keeping import CarouselView
from headend.serve.rolloutviews import RolloutShown, RuleShown, rollout_shown, rule_shown

__all__ = [
    "AuditEntry",
    "AuditLine",
    "AuditVerdict",
    "CarouselShown",
    "InterfaceShown",
    "OnAir",
    "PlaceShown",
    "ReleaseShown",
    "Status",
    "TokenShown",
    "carousel_shown",
    "release_shown",
    "status",
    "tokens_shown",
]


class PlaceShown(msgspec.Struct, frozen=True):
    """Where one release stands on the air: its cycle, the part of it that is sent, its share of the rate."""

    id: str
    cycle: int
    part: float
    share: float


class OnAir(msgspec.Struct, frozen=True):
    """What a carousel's process says of itself; `pid` null: there is none at the moment."""

    pid: int | None
    starts: int
    rate_bps: int
    sent_bytes: int
    sent_packets: int
    errors: int
    cycles: int
    announced_ago_s: float
    paced_by: str
    trouble: str
    places: tuple[PlaceShown, ...]


class CarouselShown(msgspec.Struct, frozen=True):
    """A carousel as decided, and as it is."""

    decided: CarouselRecord
    revision: int
    on_air: OnAir
    rate_now_bps: float
    """The rate that is decided for this time of day."""


class ReleaseShown(msgspec.Struct, frozen=True):
    """A release in the store, and the carousels that have it."""

    id: str
    name: str
    version: str
    hardware: str
    security_counter: int
    image_bytes: int
    file_bytes: int
    key_id: str
    has_ssu: bool
    uploaded_unix_s: float
    uploaded_by: str
    revision: int
    carousels: tuple[str, ...]
    percent: float | None
    """The share of boxes it is for; null: nothing is decided, so for all."""
    is_halted: bool
    why: str
    rule: RuleShown | None = None


class InterfaceShown(msgspec.Struct, frozen=True):
    """What an interface bears (null: nobody said), and the most that carousels want of it at any time of the day."""

    name: str
    budget_bps: float | None
    wanted_bps: float


class AuditEntry(msgspec.Struct, frozen=True):
    """One decision."""

    number: int
    unix_s: float
    who: str
    action: str
    kind: str
    key: str
    detail: str
    hash: str


class AuditLine(msgspec.Struct, frozen=True):
    """Where the audit log has come to."""

    entries: int
    head: str


class AuditVerdict(msgspec.Struct, frozen=True):
    """What a check of the whole log found; `problem` is empty if it is sound."""

    is_sound: bool
    entries: int
    head: str
    problem: str


class TokenShown(msgspec.Struct, frozen=True):
    """Somebody who is let in."""

    name: str
    role: Role
    revision: int


class Status(msgspec.Struct, frozen=True):
    """Everything on one screen. `damage` is empty, or says why nothing can be changed."""

    version: str
    unix_s: float
    damage: str
    audit: AuditLine
    interfaces: tuple[InterfaceShown, ...]
    carousels: tuple[CarouselShown, ...]
    releases: tuple[ReleaseShown, ...]
    rollout: RolloutShown


def carousel_shown(headend: Headend, name: str) -> CarouselShown:
    """Show one carousel; `UnknownError`."""
    record = headend.state.find(Kind.CAROUSEL, name)
    assert isinstance(record.body, CarouselRecord)
    view = headend.keeper.views.get(name) or CarouselView()
    return CarouselShown(
        record.body, record.revision, _on_air(headend, record.body, view), headend.rate_now_bps(record.body)
    )


def _on_air(headend: Headend, carousel: CarouselRecord, view: CarouselView) -> OnAir:
    """A process that has been silent for long announces nothing either; one without an order knows of no trouble."""
    now = headend.clocks.now()
    fields: dict[str, Any] = {name: getattr(view, name) for name in OnAir.__struct_fields__}
    fields["places"] = tuple(msgspec.convert(view.places, list[PlaceShown]))
    silent_s = max(0.0, now - view.told_s) if view.told_s else 0.0
    fields["trouble"] = view.trouble or headend.hindrance_of(carousel)
    fields["announced_ago_s"] = round(view.announced_ago_s + silent_s, 3)
    return OnAir(**fields)


def release_shown(headend: Headend, key: str) -> ReleaseShown:
    """Show one release; `UnknownError`."""
    record = headend.state.find(Kind.RELEASE, key)
    body = record.body
    assert isinstance(body, ReleaseRecord)
    fields = {name: getattr(body, name) for name in ReleaseShown.__struct_fields__ if hasattr(body, name)}
    on = [each.name for each in headend.state.carousels if any(airing.release == key for airing in each.airings)]
    named = ReleaseId(bytes.fromhex(key))
    ruling = headend.rollout.releases.get(named)
    percent = round(ruling.share * 100, 6) if ruling else None
    halted = (ruling.is_halted, ruling.why) if ruling else (False, "")
    rule = rule_shown(headend, named, ruling)
    return ReleaseShown(
        **fields,
        revision=record.revision,
        carousels=tuple(on),
        percent=percent,
        is_halted=halted[0],
        why=halted[1],
        rule=rule,
    )


def tokens_shown(headend: Headend) -> list[TokenShown]:
    """Show who is let in."""
    records = headend.state.of_kind(Kind.TOKEN).values()
    return [
        TokenShown(record.body.name, record.body.role, record.revision)
        for record in records
        if isinstance(record.body, TokenRecord)
    ]


def status(headend: Headend) -> Status:
    """Show all. Where the registry is damaged, what the processes have by their last orders."""
    decided = headend.state.carousels or [order.carousel for order in headend.keeper.orders]
    views = headend.keeper.views
    shown = []
    for carousel in decided:
        record = headend.state.things.get((Kind.CAROUSEL, carousel.name))
        view = views.get(carousel.name) or CarouselView()
        revision, rate_bps = record.revision if record else 0, headend.rate_now_bps(carousel)
        shown.append(CarouselShown(carousel, revision, _on_air(headend, carousel, view), rate_bps))
    budgets = headend.settings.budgets_bps
    names = sorted({carousel.interface for carousel in decided} | budgets.keys())
    interfaces = [
        InterfaceShown(name, budgets.get(name), wanted_bps(each for each in decided if each.interface == name))
        for name in names
    ]
    head = headend.store.head if headend.store else None
    return Status(
        version=metadata.version("bootcast"),
        unix_s=round(headend.clocks.unix(), 3),
        damage=headend.damage,
        audit=AuditLine(head.number, head.hash.hex()) if head else AuditLine(0, ""),
        interfaces=tuple(interfaces),
        carousels=tuple(shown),
        releases=tuple(release_shown(headend, each.id) for each in headend.state.releases),
        rollout=rollout_shown(headend),
    )
