"""Decisions about releases and the gate: a plain record, as a file holds it and as bulletins tell it.

    {"epoch": 1764000000000,
     "releases": {"<32 hex digits>": {"percent": 1.0, "salt": "...", "halted": false, "why": "", "report_to": null}},
     "gate": {"state": "ticking", "chain": "...", "ticks": 65536, "tick": 12.5, "at_unix_s": 1764000000.0,
              "ticks_per_s": 40.0}}

Every change makes a new record with a higher epoch: max(previous + 1, unix milliseconds), so that a service that was
restored from a backup, or set up anew, is not ignored by boxes. The pace of a gate is no decision: its tick follows
from the record and the time alone, so that a head-end that starts again goes on where it would be.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from carousel.bulletin import MAX_PARTS, MAX_STAGES, SALT_BYTES, ReportTo, Stage, threshold_of
from carousel.errors import OperatorError, UsageError
from carousel.gate import CHAIN_ID_BYTES, LEAST_TICKS, MOST_TICKS, GateState
from carousel.release.identity import ReleaseId
from headend.rollout.stages import Rule, Success, parse_rule

__all__ = ["Decisions", "GatePlan", "Ruling", "format_decisions", "fresh_salt", "parse_decisions", "parse_share"]

MAX_RELEASES = MAX_PARTS * MAX_STAGES


@dataclass(frozen=True)
class Ruling:
    """What is decided about one release: the share of boxes it is for, 0 to 1; `salt` draws who they are."""

    share: float = 1.0
    salt: bytes = bytes(SALT_BYTES)
    is_halted: bool = False
    why: str = ""
    report_to: ReportTo | None = None
    rule: Rule | None = None
    """What advances it, if anything but a person does."""
    since_unix_s: float = 0.0
    """When its share was decided."""

    def stage(self, release: ReleaseId) -> Stage:
        """Return it as a bulletin has it."""
        return Stage(release, threshold_of(self.share), self.salt, self.is_halted, self.why, self.report_to)


@dataclass(frozen=True)
class GatePlan:
    """The gate: at `at_unix_s` it stood at `tick` (a fraction counts), and goes on at `ticks_per_s`."""

    state: GateState = GateState.NONE
    chain: bytes = bytes(CHAIN_ID_BYTES)
    ticks: int = 0
    tick: float = 0.0
    at_unix_s: float = 0.0
    ticks_per_s: float = 0.0
    capacity_url: str = ""
    """What paces it; empty: a person does."""

    def tick_at(self, unix_s: float) -> float:
        """Return where it stands: never before `tick`, never behind the chain's end."""
        if self.state is not GateState.TICKING:
            return self.tick
        return min(float(self.ticks), self.tick + max(0.0, unix_s - self.at_unix_s) * self.ticks_per_s)

    def paced(self, ticks_per_s: float, unix_s: float) -> "GatePlan":
        """Return the gate at another pace from now on."""
        return replace(self, tick=self.tick_at(unix_s), at_unix_s=unix_s, ticks_per_s=ticks_per_s)


@dataclass(frozen=True)
class Decisions:
    """All that is decided, under one epoch."""

    epoch: int = 0
    releases: Mapping[ReleaseId, Ruling] = field(default_factory=dict)
    gate: GatePlan = field(default_factory=GatePlan)

    def stages(self) -> list[Stage]:
        """Return what bulletins say of releases, in an order of their own."""
        return [self.releases[release].stage(release) for release in sorted(self.releases)]

    def staged(self, release: ReleaseId, share: float, salt: bytes, unix_ms: int) -> "Decisions":
        """Let a release go to this share of boxes.

        Shares only grow: who has an image must not be told that it is for others. `OperatorError` for a smaller one,
        but with another salt, which draws other boxes; an empty one keeps that of before.
        """
        if not 0 <= share <= 1:
            raise OperatorError(f"{share * 100:g} % is no share of boxes; it goes from 0 to 100 %")
        known = self.releases.get(release, Ruling(0.0))
        if share < known.share and salt in (b"", known.salt):
            raise OperatorError(
                f"it is for {known.share * 100:g} % of boxes already, and that share only grows: halt it, or draw "
                "others (--new-canaries)"
            )
        staged = replace(known, share=share, salt=salt or known.salt, since_unix_s=unix_ms / 1000)
        return self._with(release, staged, unix_ms)

    def halted(self, release: ReleaseId, why: str, unix_ms: int) -> "Decisions":
        """Stop a release: boxes drop what they collect of it, and give it up where it is on trial."""
        return self._with(release, replace(self.releases.get(release, Ruling()), is_halted=True, why=why), unix_ms)

    def resumed(self, release: ReleaseId, unix_ms: int) -> "Decisions":
        """Let a halted release go on where it was."""
        return self._with(release, replace(self.releases.get(release, Ruling()), is_halted=False, why=""), unix_ms)

    def sampled(self, release: ReleaseId, report_to: ReportTo | None, unix_ms: int) -> "Decisions":
        """Ask some boxes to report, or nobody any more."""
        return self._with(release, replace(self.releases.get(release, Ruling()), report_to=report_to), unix_ms)

    def ruled(self, release: ReleaseId, rule: Rule | None, unix_ms: int) -> "Decisions":
        """Let a rule advance a release, from where it is; or nobody but a person any more."""
        known = self.releases.get(release, Ruling(0.0, fresh_salt(release)))
        share = max(known.share, rule.first_share) if rule else known.share
        return self._with(release, replace(known, rule=rule, share=share, since_unix_s=unix_ms / 1000), unix_ms)

    def forgotten(self, release: ReleaseId, unix_ms: int) -> "Decisions":
        """Say nothing of a release any more: then it is for every box."""
        left = {each: ruling for each, ruling in self.releases.items() if each != release}
        return Decisions(self._next_epoch(unix_ms), left, self.gate)

    def gated(self, gate: GatePlan, unix_ms: int) -> "Decisions":
        """Open, hold or begin to tick."""
        return replace(self, gate=gate, epoch=self._next_epoch(unix_ms))

    def paced(self, ticks_per_s: float, unix_s: float) -> "Decisions":
        """Let the gate tick at another pace: no decision, so under the same epoch."""
        return replace(self, gate=self.gate.paced(ticks_per_s, unix_s))

    def _with(self, release: ReleaseId, ruling: Ruling, unix_ms: int) -> "Decisions":
        if release not in self.releases and len(self.releases) >= MAX_RELEASES:
            raise OperatorError(f"{MAX_RELEASES} releases are decided about already; forget one that is off the air")
        return Decisions(self._next_epoch(unix_ms), {**self.releases, release: ruling}, self.gate)

    def _next_epoch(self, unix_ms: int) -> int:
        return max(self.epoch + 1, unix_ms)


def fresh_salt(release: ReleaseId, before: bytes = b"") -> bytes:
    """Return a salt that draws other boxes than any release or salt before; both head-ends of a pair find the same."""
    return hashlib.sha256(b"bootcast salt" + release.digest + before).digest()[:SALT_BYTES]


def parse_share(text: str) -> float:
    """Read a share of boxes: `1 %`, `0.1%` or `100%`."""
    number = text.strip().removesuffix("%").strip()
    try:
        share = float(number) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{text!r} is no share of boxes such as 1%, 0.1% or 100%")
    return share


def format_decisions(decisions: Decisions) -> str:
    """Write a record as JSON."""
    releases: dict[str, Any] = {}
    for release, ruling in sorted(decisions.releases.items()):
        to = ruling.report_to
        entry: dict[str, Any] = {"percent": ruling.share * 100, "salt": ruling.salt.hex()}
        entry |= {"halted": ruling.is_halted, "why": ruling.why, "report_to": None}
        if to is not None:
            entry["report_to"] = {"address": str(to.address), "port": to.port}
            entry["report_to"] |= {"sample_threshold": to.sample_threshold, "spread_s": to.spread_s}
        entry["since_unix_s"] = ruling.since_unix_s
        if ruling.rule is not None:
            rule = ruling.rule
            entry["rule"] = {"stages": str(rule), "success": rule.success.value}
            entry["rule"] |= {"failures_below": rule.failures_below, "confirm_within_s": rule.confirm_within_s}
        releases[str(release)] = entry
    gate = decisions.gate
    entry = {"state": gate.state.name.lower(), "chain": gate.chain.hex(), "ticks": gate.ticks, "tick": gate.tick}
    entry |= {"at_unix_s": gate.at_unix_s, "ticks_per_s": gate.ticks_per_s, "capacity_url": gate.capacity_url}
    return json.dumps({"epoch": decisions.epoch, "releases": releases, "gate": entry}, indent=1) + "\n"


def parse_decisions(text: str | bytes) -> Decisions:
    """Read a record; `OperatorError` says what is wrong with it. What is left out is as nobody had decided it."""
    try:
        raw = json.loads(text)
        releases = {ReleaseId(bytes.fromhex(name)): _ruling(entry) for name, entry in raw.get("releases", {}).items()}
        decisions = Decisions(_whole(raw["epoch"], 2**63), releases, _gate(raw.get("gate", {})))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise OperatorError(f"these are no decisions about releases ({what})") from None
    if len(decisions.releases) > MAX_RELEASES:
        raise OperatorError(f"decisions about {len(decisions.releases)} releases; {MAX_RELEASES} are the most")
    return decisions


def _ruling(entry: Mapping[str, Any]) -> Ruling:
    salt = bytes.fromhex(entry.get("salt", "")).ljust(SALT_BYTES, b"\0")
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt of {len(salt)} bytes")
    to = entry.get("report_to")
    report_to = None
    if to is not None:
        sample, spread_s = _whole(to.get("sample_threshold", 0), 2**32), _whole(to.get("spread_s", 10), 2**16)
        report_to = ReportTo(ip_address(to["address"]), _whole(to["port"], 2**16), sample, spread_s)
    share = _number(entry.get("percent", 100), 0, 100) / 100
    is_halted, why = _flag(entry.get("halted", False)), _text(entry.get("why", ""))
    since_unix_s = _number(entry.get("since_unix_s", 0), 0, 2**53)
    return Ruling(share, salt, is_halted, why, report_to, _rule(entry.get("rule")), since_unix_s)


def _rule(entry: Mapping[str, Any] | None) -> Rule | None:
    if entry is None:
        return None
    try:
        rule = parse_rule(_text(entry["stages"]), Success(entry.get("success", "samples")))
    except OperatorError as error:
        raise ValueError(str(error)) from None
    failures_below = _number(entry.get("failures_below", rule.failures_below), 0, 1)
    confirm_within_s = _number(entry.get("confirm_within_s", rule.confirm_within_s), 0, 1e8)
    return replace(rule, failures_below=failures_below, confirm_within_s=confirm_within_s)


def _gate(entry: Mapping[str, Any]) -> GatePlan:
    state, url = GateState[_text(entry.get("state", "none")).upper()], _text(entry.get("capacity_url", ""))
    if state is not GateState.TICKING and not entry.get("ticks"):
        return GatePlan(state, capacity_url=url)
    chain, ticks = bytes.fromhex(entry["chain"]), _whole(entry["ticks"], MOST_TICKS + 1)
    if len(chain) != CHAIN_ID_BYTES or ticks < LEAST_TICKS:
        raise ValueError(f"a chain of {ticks} ticks, named by {len(chain)} bytes")
    tick, at_unix_s = _number(entry.get("tick", 0), 0, ticks), _number(entry["at_unix_s"], 0, 2**53)
    return GatePlan(state, chain, ticks, tick, at_unix_s, _number(entry["ticks_per_s"], 0, MOST_TICKS), url)


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r} is no number from {low:g} to {high:g}")
    return float(value) if math.isfinite(value) else low


def _whole(value: Any, below: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise ValueError(f"{value!r} is no whole number below {below}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
