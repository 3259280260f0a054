"""Read a scenario from TOML. One table says of each key what it may be; unknown keys are refused by name."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.fleet.scenario.values import (
    BoxClass,
    Carousel,
    Cut,
    Discipline,
    Login,
    Peers,
    Region,
    ReleaseSpec,
    Retry,
    RetryKind,
    Rollout,
    Scenario,
    Server,
    Silence,
    Spread,
    SpreadKind,
    Trunk,
)
from bench.link.profiles import find_profile
from bench.link.spec import LinkSpec, parse_link
from carousel.console.quantities import (
    format_duration_s,
    parse_count,
    parse_duration_s,
    parse_rate_bps,
    parse_size_bytes,
)
from carousel.errors import OperatorError
from headend.rollout.stages import parse_rule

__all__ = ["SHIPPED", "find_scenario", "parse_scenario", "shipped"]

SHIPPED = files("bench").joinpath("scenarios")
STRATEGIES = (
    "carousel",
    "carousel-plain",
    "carousel-pair",
    "carousel-forgetful",
    "carousel-tail",
    "unicast",
    "datacentres",
    "elastic",
    "p2p",
    "rollout",
)
MOST_HORIZON_S = 30 * 86400.0

Reader = Callable[[Any], Any]


def _number(value: Any, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(what)
    return float(value)


def _share(value: Any) -> float:
    return _number(value, 0.0, 1.0, "a share from 0 to 1")


def _positive(value: Any) -> float:
    return _number(value, 1e-9, 1e15, "a number above 0")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError('text in quotes, such as "docsis31"')
    return value


def _rule(value: Any) -> str:
    try:
        parse_rule(_text(value))
    except OperatorError as error:
        raise ValueError(f"a rule: {error}") from None
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _quantity(parse: Callable[[str], Any]) -> Reader:
    def read(value: Any) -> Any:
        try:
            return parse(str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value))
        except OperatorError as error:
            raise ValueError(str(error).split(" is not ", 1)[1]) from None

    return read


def _time_above_0(text: str) -> float:
    duration_s = parse_duration_s(text)
    if not duration_s:
        raise OperatorError(f"{text!r} is not a time above 0, such as 250ms or 10m")
    return duration_s


_rate, _count, _size = _quantity(parse_rate_bps), _quantity(parse_count), _quantity(parse_size_bytes)
_time, _span = _quantity(parse_duration_s), _quantity(_time_above_0)


def _protocol(value: Any) -> str:
    if value not in ("http", "tftp"):
        raise ValueError('"http" or "tftp"')
    return str(value)


def _one_of(kind: type) -> Reader:
    def read(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError:
            raise ValueError("one of " + ", ".join(each.value for each in kind)) from None  # type: ignore[attr-defined]

    return read


def _list_of(read: Reader) -> Reader:
    def read_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError("a list in brackets")
        return tuple(read(each) for each in value)

    return read_all


def _strategy(value: Any) -> str:
    if value not in STRATEGIES:
        raise ValueError("of " + ", ".join(STRATEGIES))
    return str(value)


def _mix(value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict) or not value:
        raise ValueError("a table of classes and their shares, such as {cable = 0.7, dsl = 0.3}")
    return tuple((name, _share(share)) for name, share in value.items())


CUT: dict[str, tuple[str, Reader]] = {"at": ("at_s", _time), "for": ("for_s", _span)}


def _cuts(value: Any) -> tuple[Cut, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError('a list of power cuts, such as [{at = "40s", for = "5s"}]')
    cuts = tuple(Cut(**_read(f"cut {index + 1}", raw, CUT, ("at", "for"))) for index, raw in enumerate(value))
    for earlier, later in pairwise(cuts):
        if later.at_s <= earlier.end_s:
            raise OperatorError(f"a power cut at {format_duration_s(later.at_s)} begins before the one before it ends")
    return cuts


SCENARIO: dict[str, tuple[str, Reader]] = {
    "title": ("title", _text),
    "description": ("description", _text),
    "boxes": ("boxes", _count),
    "horizon": ("horizon_s", _span),
    "deadline": ("deadline_s", _span),
    "strategies": ("strategies", _list_of(_strategy)),
    "healing": ("healing", _list_of(_flag)),
}
CAROUSEL: dict[str, tuple[str, Reader]] = {
    "rate": ("rate_bps", _rate),
    "announce_interval": ("announce_interval_s", _span),
    "takeover": ("takeover_s", _span),
}
SILENCE: dict[str, tuple[str, Reader]] = {
    "at": ("at_s", _time),
    "for": ("for_s", _span),
    "rate_share": ("rate_share", _share),
}
RELEASE: dict[str, tuple[str, Reader]] = {
    "name": ("name", _text),
    "image_size": ("image_bytes", _size),
    "repair": ("repair_ratio", lambda value: _number(value, 0.0, 4.0, "repair symbols a source symbol, from 0 to 4")),
    "symbol_size": ("symbol_bytes", _count),
}
TRUNK: dict[str, tuple[str, Reader]] = {"name": ("name", _text), "boxes": ("boxes", _count), "down": ("down", _text)}
CLASS: dict[str, tuple[str, Reader]] = {
    "name": ("name", _text),
    "share": ("share", _share),
    "release": ("release", _text),
    "profile": ("profile", _text),
    "down": ("down", _text),
    "up": ("up", _text),
    "trunk": ("trunk", _text),
    "install": ("install_s", _time),
    "boot": ("boot_s", _time),
    "work": ("work_bytes_per_s", _size),
    "flash": ("flash_bytes_per_s", _size),
}
SPREAD: dict[str, tuple[str, Reader]] = {"kind": ("kind", _one_of(SpreadKind)), "over": ("over_s", _span)}
REGION: dict[str, tuple[str, Reader]] = {
    "name": ("name", _text),
    "share": ("share", _share),
    "power_at": ("power_at_s", _time),
    "classes": ("classes", _mix),
    "spread": ("spread", lambda value: _spread("spread", value)),
    "cuts": ("cuts", _cuts),
}
RETRY: dict[str, tuple[str, Reader]] = {
    "kind": ("kind", _one_of(RetryKind)),
    "wait": ("wait_s", _span),
    "most": ("most_s", _span),
}
SERVER: dict[str, tuple[str, Reader]] = {
    "protocol": ("protocol", _protocol),
    "streams": ("streams", _count),
    "resume": ("resume", _flag),
    "elastic_share": ("elastic_share", _positive),
    "elastic_after": ("elastic_after_s", _time),
    "price_per_tb": ("price_per_tb", _positive),
    "price_per_gbps_hour": ("price_per_gbps_hour", _positive),
    "fails_share": ("fails_share", _share),
    "fails_at": ("fails_at_s", _time),
    "fails_for": ("fails_for_s", _time),
    "rate_per_million": ("rate_bps_per_million", _rate),
    "connections_per_million": ("connections_per_million", _positive),
    "requests_per_s_per_million": ("requests_per_s_per_million", _positive),
    "request_timeout": ("request_timeout_s", _span),
    "transfer_timeout": ("transfer_timeout_s", _span),
}
PEERS: dict[str, tuple[str, Reader]] = {
    "supernode_share": ("supernode_share", _share),
    "eligible_share": ("eligible_share", _share),
    "slots": ("slots", _count),
    "rate": ("rate_bps", _rate),
    "restart_share": ("restart_share", _share),
    "promote_after": ("promote_after_s", _span),
    "request_timeout": ("request_timeout_s", _span),
    "probes_per_s": ("probes_per_s", _positive),
}
LOGIN: dict[str, tuple[str, Reader]] = {
    "supernode_share": ("supernode_share", _share),
    "eligible_share": ("eligible_share", _share),
    "slots": ("slots", _count),
    "restart_share": ("restart_share", _share),
    "promote_after": ("promote_after_s", _span),
    "heal_share_per_s": ("heal_share_per_s", _share),
    "probes_per_s": ("probes_per_s", _positive),
    "overload_loss_per_s": ("overload_loss_per_s", _share),
    "logins_per_s_per_million": ("logins_per_s_per_million", _positive),
    "queue_per_million": ("queue_per_million", _positive),
    "timeout": ("timeout_s", _span),
    "disciplines": ("disciplines", _list_of(_one_of(Discipline))),
}
ROLLOUT: dict[str, tuple[str, Reader]] = {
    "plans": ("plans", _list_of(_list_of(_share))),
    "stage_over": ("stage_over_s", _span),
    "soak": ("soak_s", _time),
    "failing_share": ("failing_share", _share),
    "recovering_share": ("recovering_share", _share),
    "reporting_share": ("reporting_share", _share),
    "report_delay": ("report_delay_s", _time),
    "stop_above": ("stop_above", _share),
    "least_reports": ("least_reports", _count),
    "rules": ("rules", _list_of(_rule)),
    "reports_per_s": ("reports_per_s", _positive),
    "report_loss": ("report_loss", _share),
}
TABLES = {
    "carousel", "silence", "release", "trunk", "class", "region", "spread", "retry", "unicast", "datacentres",
    "elastic", "p2p", "login", "rollout",
}  # fmt: skip


def _read(where: str, table: Any, keys: Mapping[str, tuple[str, Reader]], needed: tuple[str, ...]) -> dict[str, Any]:
    """Read one table by its keys; `OperatorError` names the table, the key and what it may be."""
    if not isinstance(table, dict):
        raise OperatorError(f"{where} is no table")
    found = {}
    for key, value in table.items():
        if key not in keys:
            raise OperatorError(f"{where}: there is no key {key!r}; there are {', '.join(sorted(keys))}")
        name, read = keys[key]
        try:
            found[name] = read(value)
        except ValueError as error:
            raise OperatorError(f"{where}: {key} = {value!r} is not {error}") from None
    for key in needed:
        if keys[key][0] not in found:
            raise OperatorError(f"{where}: {key!r} is missing")
    return found


def _tables(content: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    raw = content.get(name, [])
    if not isinstance(raw, list):
        raise OperatorError(f"[{name}] stands for one of several: write [[{name}]]")
    return [(f"{name} {index + 1}", each) for index, each in enumerate(raw)]


def parse_scenario(text: str, name: str, profiles: Path | None = None) -> Scenario:
    """Read a scenario's TOML; `OperatorError` says in one sentence what is wrong with it."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{name} is no TOML: {error}") from None
    plain = {key: value for key, value in content.items() if key not in TABLES}
    keys = SCENARIO | {table: ("", _text) for table in TABLES}
    try:
        top = _read("the scenario", plain, keys, ("title", "boxes", "horizon", "deadline"))
        scenario = Scenario(name=name, **top, **_fleet(content, profiles), **_strategies(content))
        return _checked(scenario)
    except OperatorError as error:
        raise OperatorError(f"{name}: {error}") from None


def _fleet(content: Mapping[str, Any], profiles: Path | None) -> dict[str, Any]:
    """Read carousel, releases, trunks, classes and regions."""
    if "carousel" not in content:
        raise OperatorError("[carousel] is missing: at least its rate")
    releases = tuple(
        ReleaseSpec(**_read(where, raw, RELEASE, ("name", "image_size"))) for where, raw in _tables(content, "release")
    )
    if not releases:
        raise OperatorError("there is no [[release]]: what shall the boxes boot?")
    classes = tuple(_class(where, raw, releases[0].name, profiles) for where, raw in _tables(content, "class"))
    if not classes:
        raise OperatorError("there is no [[class]]: what links do the boxes have?")
    spread = _spread("spread", content.get("spread", {}))
    regions = tuple(
        Region(**({"spread": spread} | _read(where, raw, REGION, ("name", "share"))))
        for where, raw in _tables(content, "region")
    )
    silences = _tables(content, "silence")
    trunks = [_read(where, raw, TRUNK, ("name", "boxes", "down")) for where, raw in _tables(content, "trunk")]
    return {
        "carousel": Carousel(
            **_read("carousel", content["carousel"], CAROUSEL, ("rate",)),
            silences=tuple(Silence(**_read(where, raw, SILENCE, ("at", "for"))) for where, raw in silences),
        ),
        "releases": releases,
        "classes": classes,
        "regions": regions or (Region("all", 1.0, spread=spread),),
        "trunks": tuple(Trunk(each["name"], each["boxes"], parse_link(each["down"])) for each in trunks),
    }


def _strategies(content: Mapping[str, Any]) -> dict[str, Any]:
    """Read servers, peers, login and retries, as far as they are there."""
    found: dict[str, Any] = {}
    kinds: tuple[tuple[str, str, dict[str, tuple[str, Reader]], Callable[..., Any]], ...] = (
        ("unicast", "server", SERVER, Server),
        ("datacentres", "datacentres", SERVER, Server),
        ("elastic", "elastic", SERVER, Server),
        ("p2p", "peers", PEERS, Peers),
        ("login", "login", LOGIN, Login),
        ("rollout", "rollout", ROLLOUT, Rollout),
    )
    for table, field, keys, make in kinds:
        if table in content:
            found[field] = make(**_read(table, content[table], keys, ()))
    retries = tuple(Retry(**_read(where, raw, RETRY, ("kind",))) for where, raw in _tables(content, "retry"))
    return found | ({"retries": retries} if retries else {})


def _spread(where: str, raw: Any) -> Spread:
    found = _read(where, raw, SPREAD, ())
    spread = Spread(**found)
    if (spread.kind is SpreadKind.AT_ONCE) == bool(spread.over_s):
        problem = "needs `over`" if not spread.over_s else "is for spreads, not for at-once"
        raise OperatorError(f"{where}: kind = {spread.kind.value!r} {problem}")
    return spread


def _class(where: str, raw: Any, first_release: str, profiles: Path | None) -> BoxClass:
    found = _read(where, raw, CLASS, ("name", "share"))
    down, up = LinkSpec(), LinkSpec()
    if "profile" in found:
        profile = find_profile(found.pop("profile"), profiles)
        down, up = profile.down, profile.up
    down, up = parse_link(found.pop("down", ""), down), parse_link(found.pop("up", ""), up)
    return BoxClass(**({"release": first_release} | found), down=down, up=up)


def _checked(scenario: Scenario) -> Scenario:
    """Refuse what does not fit together."""
    names = {
        field: [each.name for each in getattr(scenario, field)]
        for field in ("releases", "classes", "regions", "trunks")
    }
    for field, found in names.items():
        if len(set(found)) < len(found):
            raise OperatorError(f"two {field} have one name")
    for box_class in scenario.classes:
        _must_be(box_class.release, names["releases"], f"class {box_class.name!r}", "release")
        if box_class.trunk is not None:
            _must_be(box_class.trunk, names["trunks"], f"class {box_class.name!r}", "trunk")
    for region in scenario.regions:
        for name, _ in region.classes:
            _must_be(name, names["classes"], f"region {region.name!r}", "class")
        if region.power_at_s >= scenario.horizon_s:
            raise OperatorError(f"region {region.name!r} gets its power back after the horizon")
        if not sum(share for _, share in region.classes or (("", 1.0),)) > 0:
            raise OperatorError(f"region {region.name!r}: the shares of its classes add up to 0")
    _check_sums(scenario)
    return scenario


def _must_be(name: str, names: list[str], who: str, what: str) -> None:
    if name not in names:
        raise OperatorError(f"{who}: there is no {what} {name!r}; there are {', '.join(names) or 'none'}")


def _check_sums(scenario: Scenario) -> None:
    for what, shares in (("classes", scenario.classes), ("regions", scenario.regions)):
        if not sum(each.share for each in shares) > 0:
            raise OperatorError(f"the shares of all {what} add up to 0")
    if scenario.horizon_s > MOST_HORIZON_S:
        raise OperatorError("a horizon of more than 30 days")
    _check_deadline(scenario)
    _check_cuts(scenario)
    if "carousel-tail" in scenario.strategies and "carousel" not in scenario.strategies:
        raise OperatorError("strategy 'carousel-tail' follows on what the carousel does: list 'carousel' as well")
    needed = (
        ("unicast", "server"),
        ("carousel-tail", "server"),
        ("datacentres", "datacentres"),
        ("elastic", "elastic"),
        ("p2p", "peers"),
        ("rollout", "rollout"),
    )
    for strategy, field in needed:
        if strategy in scenario.strategies and getattr(scenario, field) is None:
            table = "unicast" if field == "server" else strategy
            raise OperatorError(f"strategy {strategy!r} needs a table [{table}]")


def _check_cuts(scenario: Scenario) -> None:
    """Refuse power cuts where they are not followed: on servers, on peers, and in the work of boxes."""
    if not any(region.cuts for region in scenario.regions):
        return
    others = [each for each in scenario.strategies if not each.startswith("carousel") or each == "carousel-tail"]
    if others or scenario.login is not None:
        raise OperatorError(
            f"power cuts are followed for carousels alone, not for {others[0] if others else 'logins'}; leave one out"
        )
    slow = [each.name for each in scenario.classes if each.work_bytes_per_s is not None]
    if slow:
        raise OperatorError(f"class {slow[0]!r} has `work`, and a region `cuts`: they are not followed together")


def _check_deadline(scenario: Scenario) -> None:
    """Refuse a deadline that the carousel can't meet for any class, were there no loss at all."""
    each_bps = scenario.carousel.rate_bps / len(scenario.releases)
    ideal_s = {box_class.name: scenario.release(box_class.release).image_bytes * 8 / each_bps
               for box_class in scenario.classes}  # fmt: skip
    name, least_s = min(ideal_s.items(), key=lambda item: item[1])
    if least_s > scenario.deadline_s:
        raise OperatorError(
            f"nobody can meet a deadline of {format_duration_s(scenario.deadline_s)}: without any loss class {name!r} "
            f"takes {format_duration_s(least_s)}; allow more, or a higher carousel rate"
        )


def shipped() -> list[str]:
    """Return the names of the scenarios that ship."""
    return sorted(each.name.removesuffix(".toml") for each in SHIPPED.iterdir() if each.name.endswith(".toml"))


def find_scenario(where: str, profiles: Path | None = None) -> Scenario:
    """Read a scenario by path, or by the name of one that ships."""
    if where in shipped():
        return parse_scenario(SHIPPED.joinpath(f"{where}.toml").read_text(), where, profiles)
    path = Path(where)
    try:
        return replace(parse_scenario(path.read_text(), where, profiles), name=path.stem)
    except FileNotFoundError:
        like = "".join(f"did you mean {each}? " for each in get_close_matches(where, shipped(), 1))
        raise OperatorError(
            f"there is no file {where}, nor ships a scenario of that name; {like}{', '.join(shipped())} do"
        ) from None
    except UnicodeDecodeError:
        raise OperatorError(f"{where} is no text, so no TOML") from None


assert all(name in {field.name for field in fields(Scenario)} for name, _ in SCENARIO.values())
