"""The API's operations: from a judged call to an answer. What they decide is in headend/registry/decisions.py."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec

from carousel.console.quantities import parse_rate_bps
from headend.registry import decisions
from headend.registry.hours import RateBps
from headend.registry.model import (
    Airing,
    CarouselChange,
    CarouselName,
    CarouselRecord,
    CarouselSettings,
    DeadlineS,
    Role,
    Weight,
)
from headend.registry.store import RegistryDamagedError, RegistryStore
from headend.serve import views
from headend.serve.headend import Headend
from headend.serve.operations import Answer, Call, Operation, Stream
from headend.serve.rolloutapi import ROLLOUT_OPERATIONS

__all__ = ["OPERATIONS"]

STATUS_S = 1.0
LOOK_S = 0.2
STREAM_S = 3600.0
"""A stream of events ends after so long; a page asks for the next one by itself."""
EVENTS_AT_ONCE = 50


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token, for a session by cookie."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Session(msgspec.Struct, frozen=True):
    """Who is logged in."""

    name: str
    role: Role


class NewCarousel(CarouselSettings, frozen=True):
    """A carousel to be made; see `CarouselRecord`."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much a release is wanted on a carousel."""

    weight: Weight = 1.0
    deadline_s: DeadlineS | None = None


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to let in."""

    name: CarouselName
    role: Role


class FreshToken(msgspec.Struct, frozen=True):
    """A token; it is shown this once."""

    name: str
    role: Role
    token: str


class RateText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rate as people type it: 50M, 1.5Gbit, 6.25MB/s."""

    text: Annotated[str, msgspec.Meta(max_length=100)]


class RateRead(msgspec.Struct, frozen=True):
    """What a rate means."""

    rate_bps: RateBps


class AuditPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which decisions: those before a number, the newest first."""

    before: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


async def login(call: Call) -> Answer:
    """Begin a session; the door has looked at the token."""
    return Answer(Session(call.who.name, call.who.role), cookie="begins")


async def logout(call: Call) -> Answer:
    """End a session."""
    del call
    return Answer(cookie="")


async def who_am_i(call: Call) -> Answer:
    """Tell whose token, or session, it is."""
    return Answer(Session(call.who.name, call.who.role))


async def show_status(call: Call) -> Answer:
    """Show everything."""
    return Answer(views.status(call.headend))


async def watch(call: Call) -> Stream:
    """Send the status each second, and events as they happen."""
    return Stream(_watch(call.headend))


async def _watch(headend: Headend) -> AsyncIterator[bytes]:
    told = max(0, headend.events_told - EVENTS_AT_ONCE)
    ends_s, due_s = headend.clocks.now() + STREAM_S, 0.0
    while headend.clocks.now() < ends_s:
        if headend.events_told > told or headend.clocks.now() >= due_s:
            news = min(headend.events_told - told, len(headend.events))
            for event in list(headend.events)[len(headend.events) - news :]:
                yield b"event: happened\ndata: " + json.dumps(event).encode() + b"\n\n"
            told = headend.events_told
            yield b"event: status\ndata: " + msgspec.json.encode(views.status(headend)) + b"\n\n"
            due_s = headend.clocks.now() + STATUS_S
        await asyncio.sleep(LOOK_S)


async def list_releases(call: Call) -> Answer:
    """List what is in the store."""
    return Answer([views.release_shown(call.headend, each.id) for each in call.headend.state.releases])


async def show_release(call: Call) -> Answer:
    """Show one release."""
    shown = views.release_shown(call.headend, call.parts["id"])
    return Answer(shown, shown.revision)


async def upload_release(call: Call) -> Answer:
    """Take a release file, prove it, and keep it; the same file once more changes nothing."""
    with call.headend.releases.begin(call.size_bytes) as upload:
        async for piece in call.pieces:
            upload.write(piece)
        record = await call.headend.take_in(call.who, upload)
    shown = views.release_shown(call.headend, record.body.id)  # type: ignore[attr-defined]
    return Answer(shown, shown.revision)


async def delete_release(call: Call) -> Answer:
    """Delete a release that no carousel has."""
    await call.headend.forget(call.who, call.parts["id"], call.is_current)
    return Answer()


async def list_carousels(call: Call) -> Answer:
    """List all carousels."""
    return Answer([views.carousel_shown(call.headend, each.name) for each in call.headend.state.carousels])


async def show_carousel(call: Call) -> Answer:
    """Show one carousel."""
    return _carousel(call, call.parts["name"])


def _carousel(call: Call, name: str) -> Answer:
    shown = views.carousel_shown(call.headend, name)
    return Answer(shown, shown.revision)


async def create_carousel(call: Call) -> Answer:
    """Make a carousel; it sends once it has a release."""
    wanted = CarouselRecord(**msgspec.structs.asdict(call.body))
    budgets = call.headend.settings.budgets_bps
    await call.headend.decide(call.who, lambda state: decisions.create_carousel(state, wanted, budgets))
    return _carousel(call, wanted.name)


async def change_carousel(call: Call) -> Answer:
    """Another rate, other hours; pause, go on."""
    name, headend = call.parts["name"], call.headend
    await headend.decide(
        call.who,
        lambda state: decisions.change_carousel(
            state,
            name,
            headend.settings.budgets_bps,
            call.body,
            headend.clocks.unix(),
        ),
        call.is_current,
    )
    return _carousel(call, name)


async def drop_carousel(call: Call) -> Answer:
    """Take a carousel off the air for good."""
    await call.headend.decide(
        call.who, lambda state: decisions.drop_carousel(state, call.parts["name"]), call.is_current
    )
    return Answer()


async def put_release(call: Call) -> Answer:
    """Put a release on the air, or change how much it is wanted."""
    name, headend = call.parts["name"], call.headend
    headend.state.carousel(name)
    headend.check_trusted(call.parts["id"])
    airing = Airing(call.parts["id"], call.body.weight, call.body.deadline_s)
    await headend.decide(
        call.who,
        lambda state: decisions.put_release(state, name, airing, headend.clocks.unix()),
        call.is_current,
    )
    return _carousel(call, name)


async def take_release(call: Call) -> Answer:
    """Take a release off the air."""
    name = call.parts["name"]
    await call.headend.decide(
        call.who, lambda state: decisions.take_release(state, name, call.parts["id"]), call.is_current
    )
    return _carousel(call, name)


async def read_rate(call: Call) -> Answer:
    """Read a rate as the command line does: a page that read it by itself would mean something else by it."""
    return Answer(RateRead(parse_rate_bps(call.query.text)))


async def list_tokens(call: Call) -> Answer:
    """List who is let in."""
    return Answer(views.tokens_shown(call.headend))


async def add_token(call: Call) -> Answer:
    """Let somebody in."""
    token = await call.headend.admit(call.who, call.body.name, call.body.role)
    return Answer(FreshToken(call.body.name, call.body.role, token))


async def delete_token(call: Call) -> Answer:
    """Let somebody in no more."""
    await call.headend.decide(call.who, lambda state: decisions.drop_token(state, call.parts["name"]), call.is_current)
    return Answer()


def _store(call: Call) -> RegistryStore:
    if call.headend.store is None:
        raise RegistryDamagedError(call.headend.damage)
    return call.headend.store


async def list_audit(call: Call) -> Answer:
    """List decisions, the newest first."""
    entries = await asyncio.to_thread(_store(call).entries, call.query.before, call.query.limit)
    names = ("unix_s", "who", "action", "kind", "key", "detail")
    return Answer(
        [
            views.AuditEntry(number=number, hash=hashed, **{name: fields[name] for name in names})
            for number, fields, hashed in entries
        ]
    )


async def verify_audit(call: Call) -> Answer:
    """Check the whole log against its chain, and the registry against the log."""
    found = await asyncio.to_thread(_store(call).verify)
    return Answer(views.AuditVerdict(not found.problem, found.entries, found.head, found.problem))


VIEW, OPERATE, ADMIN = Role.VIEW, Role.OPERATE, Role.ADMIN
CAROUSEL, RELEASE = "/api/carousels/{name}", "/api/releases/{id}"
OPERATIONS = (
    Operation("POST", "/api/login", None, "Begin a session", login, Session, takes=Login, errors=(401,)),
    Operation("POST", "/api/logout", None, "End a session", logout, status=204),
    Operation("GET", "/api/me", VIEW, "Who is logged in", who_am_i, Session),
    Operation("GET", "/api/status", VIEW, "Everything on one screen", show_status, views.Status),
    Operation("GET", "/api/events", VIEW, "Status and events as they come", watch, gives_events=True),
    Operation("GET", "/api/releases", VIEW, "Releases in the store", list_releases, list[views.ReleaseShown]),
    Operation(
        *("POST", "/api/releases", OPERATE, "Upload a release", upload_release, views.ReleaseShown),
        takes_file=True,
        errors=(409,),
    ),
    Operation("GET", RELEASE, VIEW, "One release", show_release, views.ReleaseShown, errors=(404,)),
    Operation("DELETE", RELEASE, OPERATE, "Delete a release", delete_release, status=204, needs_match=True),
    Operation("GET", "/api/carousels", VIEW, "All carousels", list_carousels, list[views.CarouselShown]),
    Operation(
        *("POST", "/api/carousels", OPERATE, "Make a carousel", create_carousel, views.CarouselShown, 201, NewCarousel),
        errors=(409,),
    ),
    Operation("GET", CAROUSEL, VIEW, "One carousel", show_carousel, views.CarouselShown, errors=(404,)),
    Operation(
        *("PATCH", CAROUSEL, OPERATE, "Another rate; pause, resume", change_carousel, views.CarouselShown, 200),
        takes=CarouselChange,
        needs_match=True,
    ),
    Operation("DELETE", CAROUSEL, OPERATE, "Drop a carousel", drop_carousel, status=204, needs_match=True),
    Operation(
        *("PUT", f"{CAROUSEL}/releases/{{id}}", OPERATE, "Put a release on the air", put_release),
        gives=views.CarouselShown,
        takes=Wanted,
        needs_match=True,
    ),
    Operation(
        *("DELETE", f"{CAROUSEL}/releases/{{id}}", OPERATE, "Take a release off the air", take_release),
        gives=views.CarouselShown,
        needs_match=True,
    ),
    Operation(
        *("GET", "/api/rate", VIEW, "Read a rate as people type it", read_rate, RateRead), query=RateText, errors=(422,)
    ),
    Operation("GET", "/api/tokens", ADMIN, "Who is let in", list_tokens, list[views.TokenShown]),
    Operation("POST", "/api/tokens", ADMIN, "Let in", add_token, FreshToken, 201, NewToken, errors=(409,)),
    Operation("DELETE", "/api/tokens/{name}", ADMIN, "Let in no more", delete_token, status=204, needs_match=True),
    Operation(
        *("GET", "/api/audit", VIEW, "Decisions, the newest first", list_audit, list[views.AuditEntry]),
        query=AuditPage,
        errors=(503,),
    ),
    Operation("GET", "/api/audit/verify", VIEW, "Check the log", verify_audit, views.AuditVerdict, errors=(503,)),
    *ROLLOUT_OPERATIONS,
)
