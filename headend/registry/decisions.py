"""What may be decided: from the state and a wish to an update, or a refusal in a sentence. Pure."""

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from carousel.console.endpoint import Endpoint
from carousel.console.quantities import format_rate_bps
from carousel.errors import OperatorError
from headend.cast.shares import Demand, shares
from headend.registry.hours import check_hours, extremes_bps
from headend.registry.model import (
    Airing,
    BudgetError,
    CarouselChange,
    CarouselRecord,
    Kind,
    ReleaseRecord,
    Role,
    State,
    TakenError,
    TokenRecord,
    UnknownError,
    Update,
    wanted_bps,
)

__all__ = [
    "add_release",
    "add_token",
    "change_carousel",
    "create_carousel",
    "demands_of",
    "drop_carousel",
    "drop_release",
    "drop_token",
    "put_release",
    "take_release",
]

MAX_CAROUSELS = 64
MAX_AIRINGS = 16
MAX_RELEASES = 1000
MAX_TOKENS = 200
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

Budgets = Mapping[str, float]
"""What each interface bears, in bit/s; one that is not named is not watched."""


def create_carousel(state: State, wanted: CarouselRecord, budgets: Budgets) -> Update:
    """Make a carousel, without releases; the group as `Endpoint` writes it."""
    _check_name(wanted.name, "carousel")
    if (Kind.CAROUSEL, wanted.name) in state.things:
        raise TakenError(f"there is a carousel {wanted.name!r} already; take another name, or change that one")
    if len(state.carousels) >= MAX_CAROUSELS:
        raise TakenError(f"there are {MAX_CAROUSELS} carousels already, which is as many as there may be")
    wanted = msgspec.structs.replace(wanted, group=str(Endpoint.parse(wanted.group)), airings=())
    check_hours(wanted.hours)
    if wanted.ssu and wanted.pair:
        raise OperatorError("a DVB-SSU stream has one sender: a pair can't share it; leave out --ssu or --pair")
    for other in state.carousels:
        if other.place == wanted.place:
            where = f"{wanted.group} on {wanted.interface}"
            raise TakenError(f"carousel {other.name!r} has {where}; take another group or port")
    _check_budget(state, wanted, budgets)
    return Update("create", Kind.CAROUSEL, wanted.name, wanted, f"{wanted.group} on {wanted.interface}")


def change_carousel(state: State, name: str, budgets: Budgets, change: CarouselChange, now_unix_s: float) -> Update:
    """Give a carousel another rate or other hours, stop it for a while, or let it go on."""
    before = state.carousel(name)
    after = msgspec.structs.replace(
        before,
        rate_bps=before.rate_bps if change.rate_bps is None else change.rate_bps,
        is_paused=before.is_paused if change.is_paused is None else change.is_paused,
        hours=before.hours if change.hours is None else change.hours,
    )
    check_hours(after.hours)
    _check_budget(state, after, budgets)
    _check_deadlines(state, after, now_unix_s)
    action, detail = (
        "change",
        ", ".join(
            [
                format_rate_bps(after.rate_bps),
                *(f"{format_rate_bps(each.rate_bps)} from {each.begin} to {each.end}" for each in after.hours),
            ]
        ),
    )
    if after.is_paused is not before.is_paused:
        action, detail = ("pause" if after.is_paused else "resume"), ""
    return Update(action, Kind.CAROUSEL, name, after, detail)


def drop_carousel(state: State, name: str) -> Update:
    """Take a carousel off the air for good."""
    state.carousel(name)
    return Update("drop", Kind.CAROUSEL, name, None)


def put_release(state: State, name: str, airing: Airing, now_unix_s: float) -> Update:
    """Put a release on a carousel, or change how much it is wanted there."""
    carousel, release = state.carousel(name), state.release(airing.release)
    known = {each.release: each for each in carousel.airings}
    aired_unix_s = known[airing.release].aired_unix_s if airing.release in known else now_unix_s
    known[airing.release] = msgspec.structs.replace(airing, aired_unix_s=aired_unix_s)
    if len(known) > MAX_AIRINGS:
        raise TakenError(
            f"carousel {name!r} has {MAX_AIRINGS} releases, which is as many as there may be; take one off"
        )
    if carousel.ssu and not release.has_ssu:
        what = f"{release.name} {release.version}"
        raise OperatorError(f"{what} was packed without --ssu: pack it with, for this carousel")
    after = msgspec.structs.replace(carousel, airings=tuple(known.values()))
    _check_deadlines(state, after, now_unix_s)
    return Update("put", Kind.CAROUSEL, name, after, f"{release.name} {release.version} ({release.id[:8]})")


def take_release(state: State, name: str, key: str) -> Update:
    """Take a release off a carousel."""
    carousel = state.carousel(name)
    left = tuple(each for each in carousel.airings if each.release != key)
    if len(left) == len(carousel.airings):
        raise UnknownError(f"carousel {name!r} has no release {key!r}")
    release = state.release(key)
    called = f"{release.name} {release.version} ({key[:8]})"
    return Update("take", Kind.CAROUSEL, name, msgspec.structs.replace(carousel, airings=left), called)


def add_release(state: State, release: ReleaseRecord) -> Update:
    """Know a release that is in the store."""
    if len(state.releases) >= MAX_RELEASES and (Kind.RELEASE, release.id) not in state.things:
        raise TakenError(
            f"there are {MAX_RELEASES} releases in the store, which is as many as there may be; delete some"
        )
    return Update("upload", Kind.RELEASE, release.id, release, f"{release.name} {release.version}")


def drop_release(state: State, key: str) -> Update:
    """Forget a release that no carousel has."""
    release = state.release(key)
    for carousel in state.carousels:
        if any(each.release == key for each in carousel.airings):
            raise TakenError(f"carousel {carousel.name!r} has this release on the air; take it off first")
    return Update("delete", Kind.RELEASE, key, None, f"{release.name} {release.version}")


def add_token(state: State, token: TokenRecord) -> Update:
    """Let somebody in."""
    _check_name(token.name, "token")
    if (Kind.TOKEN, token.name) in state.things:
        raise TakenError(f"there is a token {token.name!r} already; take another name, or delete that one")
    if len(state.of_kind(Kind.TOKEN)) >= MAX_TOKENS:
        raise TakenError(f"there are {MAX_TOKENS} tokens, which is as many as there may be; delete some")
    return Update("allow", Kind.TOKEN, token.name, token, token.role.value)


def drop_token(state: State, name: str) -> Update:
    """Let somebody in no more; the last one who may do everything stays."""
    state.find(Kind.TOKEN, name)
    admins = [
        key
        for key, record in state.of_kind(Kind.TOKEN).items()
        if isinstance(record.body, TokenRecord) and record.body.role is Role.ADMIN
    ]
    if admins == [name]:
        raise TakenError(f"{name!r} is the last admin token: make another one before you delete it")
    return Update("disallow", Kind.TOKEN, name, None)


def _check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise OperatorError(f"{name!r} is no name for a {what}: take a-z, 0-9 and dashes, at most 32")


def _check_budget(state: State, wanted: CarouselRecord, budgets: Budgets) -> None:
    """The rates on an interface may not come to more than it bears; what is paused counts, since it may go on."""
    budget_bps = budgets.get(wanted.interface, math.inf)
    others = [each for each in state.carousels if each.interface == wanted.interface and each.name != wanted.name]
    if wanted_bps([*others, wanted]) <= budget_bps:
        return
    if not others:
        most_bps = format_rate_bps(wanted_bps([wanted]))
        raise BudgetError(f"{wanted.interface} bears {format_rate_bps(budget_bps)}, and this asks for {most_bps}")
    at_times = " at some time of the day" if any(each.hours for each in [*others, wanted]) else ""
    taken_bps = wanted_bps(others)
    raise BudgetError(
        f"{wanted.interface} bears {format_rate_bps(budget_bps)}, and other carousels have "
        f"{format_rate_bps(taken_bps)} of it{at_times}: {format_rate_bps(max(0.0, budget_bps - taken_bps))} is left"
    )


def _check_deadlines(state: State, carousel: CarouselRecord, now_unix_s: float) -> None:
    """`OperatorError` where deadlines ask for more than the lowest rate of the day."""
    lengths = [state.release(each.release).length_bytes for each in carousel.airings]
    if lengths:
        lowest_bps, _ = extremes_bps((carousel.rate_bps, carousel.hours))
        shares(demands_of(carousel.airings, 0.0, now_unix_s), lengths, lowest_bps, 0.0)


def demands_of(airings: Sequence[Airing], now: float, now_unix_s: float) -> list[Demand]:
    """Return how much each is wanted, in terms of a monotonic clock that says `now`; a clock set back makes it new."""
    return [Demand(each.weight, each.deadline_s, now - max(0.0, now_unix_s - each.aired_unix_s)) for each in airings]
