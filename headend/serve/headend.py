"""The head-end as one object: the registry, its release files, and the processes that follow what is decided."""

import asyncio
import fcntl
import hashlib
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from carousel.console.command import in_a_sentence
from carousel.errors import BootcastError, OperatorError
from headend.casting import Clocks
from headend.registry import decisions, rollouts
from headend.registry.model import CarouselRecord, Kind, Record, Role, State, TokenRecord, Update
from headend.registry.releases import ReleaseFolder, Upload
from headend.registry.store import RegistryDamagedError, RegistryStore
from headend.rollout.decisions import Decisions
from headend.rollout.pace import Feed
from headend.rolloutfile import RolloutFile
from headend.serve.capacity import CapacityFeed
from headend.serve.keeping import Keeper
from headend.serve.orders import Order, OrderFolder, Title
from headend.serve.reports import ReportDesk
from headend.serve.rules import Rules, is_decision
from headend.serve.settings import Settings

__all__ = ["FIRST_TOKEN", "Headend", "Person", "token_hash"]

FIRST_TOKEN = "admin"  # the name of the token that a new data folder begins with
FIRST_TOKEN_FILE = "admin.token"
BY_RULE = "the rule"
"""Who decides in the audit log, where nobody does; no token is called so."""
EVENTS_KEPT = 200
TOKEN_BYTES = 24
CHAIN_SECRET_BYTES = 32


@dataclass(frozen=True)
class Person:
    """Who asks, and what they may."""

    name: str
    role: Role


def token_hash(token: str) -> str:
    """Return what is kept of a token. It is random, so there is nothing to guess, and nothing to slow down."""
    return hashlib.sha256(token.encode()).hexdigest()


class Headend:
    """A data folder in use. Decisions go through `decide`, and are on the air when their process has read the order."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        clocks: Clocks,
        random: Callable[[int], bytes],
        tell: Callable[..., None],
    ) -> None:
        """Open a data folder, or make it; `OperatorError` where it is in use, or another's."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.settings, self.clocks, self._random = folder, settings, clocks, random
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self.events_told = 0
        self._tell_outside = tell
        self._lock = _locked(folder)
        self.damage = ""
        """Why nothing can be changed, in a sentence; empty if the registry is whole."""
        self.store: RegistryStore | None = None
        self.releases = ReleaseFolder(folder, settings.largest_upload_bytes)
        self._orders = OrderFolder(folder / "orders")
        (folder / "places").mkdir(exist_ok=True)
        self._bulletin_key = folder / "bulletin.key"
        self._rollout = RolloutFile(folder / "rollout.json")
        self._is_said = False
        """Whether the carousels have been handed what is decided about roll-outs."""
        self.keeper = Keeper(clocks.now, self.tell)
        self.reports = ReportDesk(folder, settings.reports, clocks, self.tell)
        self.capacity = CapacityFeed(clocks.now, self.tell)
        self._rules = Rules(self.reports.samples, settings.reports_per_s, self.new_chain)
        self._hindrance = ""
        self._marks: object = None
        self._withheld: dict[str, dict[str, str]] = {}
        """By carousel, why a release that is to be on it is not: no trusted key, no file."""
        try:
            self.store = RegistryStore(folder / "registry.sqlite", clocks.unix)
        except RegistryDamagedError as error:
            self.damage = str(error)
        else:
            self._make_first_token()

    @property
    def state(self) -> State:
        """What is decided; nothing where the registry is damaged."""
        return self.store.state if self.store else State()

    @property
    def rollout(self) -> Decisions:
        """What is decided about roll-outs, with the gate at its present pace."""
        return self._rules.live(rollouts.decisions_of(self.state))

    def tell(self, event: str, **fields: Any) -> None:
        """Log an event, and keep it for the page."""
        self.events.append({"event": event, "unix_s": round(self.clocks.unix(), 3), **fields})
        self.events_told += 1
        self._tell_outside(event, **fields)

    def start(self) -> None:
        """Put on the air what is to be there: as decided, or as last ordered where the registry can't be read."""
        if self.store is None:
            self.tell("trouble", reason=self.damage)
            for order in self._orders.load():
                self.keeper.follow(order)
            self._tend_rates()
            return
        verdict = self.store.verify()
        if verdict.problem:
            self.tell("trouble", reason=f"the audit log does not verify: {verdict.problem}")
        known = {carousel.name for carousel in self.state.carousels}
        for order in self._orders.load():
            if order.carousel.name not in known:
                self._orders.forget(order.carousel.name)
        self._resume_rollout()
        self._tend_releases()

    def _resume_rollout(self) -> None:
        """Go on with roll-outs where they were when a service was here last."""
        decided = rollouts.decisions_of(self.state)
        told = None
        with suppress(BootcastError, OSError):
            told = self._rollout.load()
        self._rules.resume(decided, told, self.reports.silent_unix_s, self.clocks.unix())
        self.reports.restore(decided)
        self._say_rollout()

    async def decide(
        self, who: Person, decide: Callable[[State], Update], is_current: Callable[[int], bool] | None = None
    ) -> Record | None:
        """Decide, write it down, and have it done. `OperatorError` says why not."""
        if self.store is None:
            raise RegistryDamagedError(self.damage)
        before = self.store.head.number
        decided: list[Update] = []

        def noted(state: State) -> Update:
            decided.append(decide(state))
            return decided[0]

        record = self.store.commit(who.name, noted, is_current)
        update = decided[0]
        assert self.store.head.number > before
        fields = {"kind": update.kind.value, "what": update.key, "detail": update.detail}
        self.tell("change", who=who.name, action=update.action, **fields)
        if update.kind is Kind.ROLLOUT:
            self._rules.was_decided()
            self._say_rollout()
        if update.kind is Kind.CAROUSEL:
            if record is None:
                self._orders.forget(update.key)
                self._withheld.pop(update.key, None)
                await self.keeper.drop(update.key)
                (self.folder / "places" / update.key).unlink(missing_ok=True)
            else:
                self._follow(self.state.carousel(update.key))
        return record

    def _follow(self, carousel: CarouselRecord) -> None:
        self._give(self._order_of(carousel))

    def _give(self, order: Order) -> None:
        with suppress(OSError):  # a full disk: the order is needed only where the registry can't be read
            self._orders.keep(order)
        self.keeper.follow(order)

    def _order_of(self, carousel: CarouselRecord) -> Order:
        """Say what a carousel is to send: no release whose key is trusted no more, or whose file is gone."""
        titles: list[Title] = []
        withheld: dict[str, str] = {}
        for airing in carousel.airings:
            release, path = self.state.release(airing.release), self.releases.path(airing.release)
            try:
                self.releases.check_signature(bytes.fromhex(release.header))
                path.stat()
            except (BootcastError, OSError) as error:
                withheld[airing.release] = in_a_sentence(error)
                continue
            titles.append(Title(airing, str(path)))
        self._note_withheld(carousel.name, withheld)
        place_file = self.folder / "places" / carousel.name
        signing = (str(self._bulletin_key), str(self._rollout.path)) if self.has_bulletins else ("", "")
        return Order(carousel, tuple(titles), str(place_file), *signing, rate_bps=self.rate_now_bps(carousel))

    def _note_withheld(self, name: str, withheld: dict[str, str]) -> None:
        """Tell what is sent no more, or again."""
        before = self._withheld.get(name, {})
        for key, reason in withheld.items():
            if before.get(key) != reason:
                self.tell("trouble", carousel=name, reason=reason)
        for key in before.keys() - withheld.keys():
            self.tell("trouble_over", carousel=name, reason=before[key])
        self._withheld[name] = withheld

    def _tend_releases(self) -> None:
        """Order anew what carousels are to send once other keys are trusted, or a file came or went."""
        aired = [airing.release for carousel in self.state.carousels for airing in carousel.airings]
        marks = self.releases.marks(aired)
        if marks == self._marks:
            return
        self._marks = marks
        before = {order.carousel.name: order for order in self.keeper.orders}
        for carousel in self.state.carousels:
            order = self._order_of(carousel)
            if order != before.get(carousel.name):
                self._give(order)

    def hindrance_of(self, carousel: CarouselRecord) -> str:
        """Say in a sentence why a carousel has nothing that it could send, or nowhere to send it; empty: it has."""
        withheld = self._withheld.get(carousel.name, {})
        if withheld and len(withheld) == len(carousel.airings):
            return "; ".join(withheld.values())
        try:
            socket.if_nametoindex(carousel.interface)
        except OSError:
            return f"there is no interface {carousel.interface!r} here; once there is, it is used"
        return ""

    def rate_now_bps(self, carousel: CarouselRecord) -> float:
        """Return the rate that a carousel is to have at this time of day."""
        return carousel.rate_at(self.clocks.day_s(self.clocks.unix()))

    def _tend_rates(self) -> None:
        """Let the rates of carousels follow the time of day, be the registry damaged or not."""
        for order in self.keeper.orders:
            rate_bps = self.rate_now_bps(order.carousel)
            if rate_bps != order.rate_bps:
                self.keeper.follow(msgspec.structs.replace(order, rate_bps=rate_bps))
                self.tell("rate", carousel=order.carousel.name, rate_bps=rate_bps)

    @property
    def has_bulletins(self) -> bool:
        """Whether there is a key that signs bulletins."""
        return self._bulletin_key.exists()

    def check_bulletins(self) -> None:
        """`OperatorError` where nothing that is decided about roll-outs could reach a box."""
        if not self.has_bulletins:
            prefix = self._bulletin_key.with_suffix("")
            raise OperatorError(
                f"there is no key for bulletins: `headend keygen --bulletin {prefix}`, give boxes its .pub file by "
                "`settop init --trust-bulletin`, and start the service again"
            )

    def new_chain(self, ticks: int) -> bytes:
        """Make a hash chain for the gate; return its ID."""
        return self._rollout.new_chain(self._random(CHAIN_SECRET_BYTES), ticks)

    async def tend(self) -> None:
        """Once a second: do again what could not be done, and what rules and feeds want done."""
        self.reports.tend()
        self._tend_rates()
        if self.store is None:
            return
        self._tend_releases()
        if not self._is_said:
            self._say_rollout()
        feed = await self.capacity.look(self.rollout.gate.capacity_url)
        try:
            await self._follow_rules(feed)
        except (BootcastError, OSError) as error:
            self._hinder(f"what a rule wants can't be done: {in_a_sentence(error)}")
        else:
            self._hindrance = ""

    async def _follow_rules(self, feed: Feed | None) -> None:
        live = self.rollout
        after = self._rules.follow(live, feed, self.clocks.now(), self.clocks.unix())
        if is_decision(live, after):
            await self.decide(Person(BY_RULE, Role.OPERATE), lambda state: rollouts.follow(state, after))
        elif after is not live:
            self._say_rollout()

    def _hinder(self, reason: str) -> None:
        """Tell what stands in the way, once."""
        if reason != self._hindrance:
            self._hindrance = reason
            self.tell("trouble", reason=reason)

    def _say_rollout(self) -> None:
        """Hand the carousels what is decided about roll-outs: they look at the file ten times a second."""
        self._is_said = True
        if not self.has_bulletins:
            return
        decided = self.rollout
        try:
            self._rollout.change(lambda _: decided)
        except (BootcastError, OSError) as error:
            self._is_said = False
            self.tell("trouble", reason=f"decided, and not yet on the air: {in_a_sentence(error)}")

    def check_trusted(self, key: str) -> None:
        """`OperatorError` unless a release may go on the air."""
        self.releases.check_signature(bytes.fromhex(self.state.release(key).header))

    async def take_in(self, who: Person, upload: Upload) -> Record:
        """Prove what was uploaded, and know it; once more is no change."""
        record = await asyncio.to_thread(upload.prove, who.name, self.clocks.unix())
        upload.keep(record)
        known = self.state.things.get((Kind.RELEASE, record.id))
        if known is not None:
            return known
        added = await self.decide(who, lambda state: decisions.add_release(state, record))
        assert added is not None
        return added

    async def forget(self, who: Person, key: str, is_current: Callable[[int], bool] | None) -> None:
        """Delete a release that is on no carousel: from the registry first, so no kill leaves a name without a file."""
        await self.decide(who, lambda state: decisions.drop_release(state, key), is_current)
        self.releases.drop(key)

    async def admit(self, who: Person, name: str, role: Role) -> str:
        """Make a token; it is shown this once."""
        token = self._random(TOKEN_BYTES).hex()
        record = TokenRecord(name, role, token_hash(token))
        await self.decide(who, lambda state: decisions.add_token(state, record))
        return token

    def person_of_hash(self, wanted: str) -> Person | None:
        """Return whose token has this hash. Where the registry is damaged, the first token's holder may still look."""
        if self.store is None:
            with suppress(OSError):
                if token_hash((self.folder / FIRST_TOKEN_FILE).read_text().strip()) == wanted:
                    return Person(FIRST_TOKEN, Role.VIEW)
        for record in self.state.of_kind(Kind.TOKEN).values():
            if isinstance(record.body, TokenRecord) and record.body.sha256 == wanted:
                return Person(record.body.name, record.body.role)
        return None

    def _make_first_token(self) -> None:
        assert self.store is not None
        if self.state.of_kind(Kind.TOKEN):
            return
        token, path = self._random(TOKEN_BYTES).hex(), self.folder / FIRST_TOKEN_FILE
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        record = TokenRecord(FIRST_TOKEN, Role.ADMIN, token_hash(token))
        self.store.commit("headend", lambda state: decisions.add_token(state, record))

    async def close(self) -> None:
        """End the processes and let go of the folder."""
        self.reports.close()
        await self.keeper.close()
        if self.store is not None:
            self.store.close()
        os.close(self._lock)


def _locked(folder: Path) -> int:
    """Hold the folder for ourselves until we end, however that goes."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OperatorError(
            f"{folder} is in use by another `headend serve`: end that, or take another folder"
        ) from None
    return descriptor
