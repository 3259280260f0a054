"""`headend ctl`: the service from a shell."""

import getpass
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from carousel.console.quantities import (
    format_rate_bps,
    format_size_bytes,
    parse_duration_s,
    parse_probability,
    parse_rate_bps,
)
from carousel.errors import OperatorError, UsageError
from carousel.printable import printable
from headend.commands import options
from headend.commands.client import Client, token_path
from headend.commands.options import SSU, option

__all__ = ["app"]

SERVICE, RULE, HOURS = "Service", "Rule", "Hours"
ROLES = ("view", "operate", "admin")
"""As headend/registry/model.py has them: a shell without the service's packages has to know them, too."""
TIME_OF_DAY = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")
DEFAULT_URL = "http://127.0.0.1:8377"
app = typer.Typer(
    name="ctl",
    help="Steer a running `headend serve`: releases, carousels, who may do what, the audit log.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
audit = typer.Typer(help="The audit log.", no_args_is_help=True)
tokens = typer.Typer(help="Who is let in.", no_args_is_help=True)
app.add_typer(audit, name="audit")
app.add_typer(tokens, name="tokens")

NameArgument = Annotated[str, typer.Argument(help="A carousel's name.", metavar="NAME")]
ReleaseArgument = Annotated[
    str, typer.Argument(help="A release: the beginning of its ID, its name, or NAME:VERSION.", metavar="RELEASE")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.callback()
def _connect(
    context: typer.Context,
    url: Annotated[
        str, option("Where the service is.", group=SERVICE, metavar="URL", envvar="BOOTCAST_URL")
    ] = DEFAULT_URL,
    token_file: Annotated[
        Path | None,
        option("A file with a token; else the one that `login` kept.", group=SERVICE, envvar="BOOTCAST_TOKEN_FILE"),
    ] = None,
) -> None:
    context.obj = Client(url.rstrip("/"), token_file)
    context.obj.check_url()


@app.command()
def login(context: typer.Context) -> None:
    """Keep a token for the commands to come; it is read from the terminal, or from standard input."""
    client: Client = context.obj
    token = getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.readline()
    path = token_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(token.strip() + "\n")
    try:
        who = Client(client.url, beside).get("me")
    except OperatorError:
        beside.unlink()
        raise
    beside.replace(path)
    print(f"{printable(who['name'])} may {who['role']}; the token is in {path}")


@app.command()
def releases(context: typer.Context, as_json: AsJson = False) -> None:
    """List the releases in the store."""
    found = context.obj.get("releases")
    rows = [
        (
            *(each["id"][:12], each["name"], each["version"], each["hardware"]),
            *(format_size_bytes(each["image_bytes"]), ", ".join(each["carousels"]) or "-", _stage_of(each)),
        )
        for each in found
    ]
    _show(found, ("id", "name", "version", "hardware", "image", "on the air", "for"), rows, as_json)


@app.command()
def upload(context: typer.Context, file: Annotated[Path, typer.Argument(help="A release file.")]) -> None:
    """Bring a release to the service, which checks it and its signature."""
    shown = context.obj.ask("POST", "releases", file=file)
    print(printable(f"{shown['id']}  {shown['name']} {shown['version']} ({shown['hardware']})"))
    if shown["percent"] is not None:
        print(printable(f"what was decided about it before holds: for {_stage_of(shown)}"), file=sys.stderr)


@app.command()
def delete(context: typer.Context, release: ReleaseArgument) -> None:
    """Delete a release that no carousel has."""
    key = _release(context.obj, release)
    context.obj.get("releases", key)
    context.obj.ask("DELETE", "releases", key)


@app.command()
def carousels(context: typer.Context, as_json: AsJson = False) -> None:
    """List the carousels: what is decided, and what is on the air."""
    _show_carousels(context.obj.get("carousels"), as_json)


@app.command()
def create(
    context: typer.Context,
    name: NameArgument,
    group: Annotated[str, typer.Option(help="Multicast group and port.", metavar="GROUP:PORT")],
    interface: Annotated[str, typer.Option(help="Send on this interface.", metavar="NAME")],
    rate: Annotated[str, typer.Option(help="Bit/s of UDP payload: 500k, 50M, 1.5G.", metavar="RATE")],
    ttl: Annotated[int, typer.Option(help="How many routers packets may pass, plus one.")] = 1,
    dscp: Annotated[int, typer.Option(help="DSCP of the packets.")] = 0,
    pair: Annotated[str | None, typer.Option(help="One of two head-ends: first or second.", metavar="ROLE")] = None,
    announce_interval: Annotated[
        str, typer.Option(help="Between announcements.", metavar="TIME")
    ] = options.DEFAULT_ANNOUNCE_INTERVAL_TEXT,
    ssu: Annotated[bool, option("A transport stream; the rate counts its packets.", "--ssu", group=SSU)] = False,
    rtp: options.RtpOption = False,
    service_id: options.ServiceIdOption = 1,
    network_id: options.NetworkIdOption = 1,
    ts_id: options.TsIdOption = 1,
    pid: options.PidOption = options.DEFAULT_PID_TEXT,
    pcr: options.PcrOption = False,
    core: Annotated[int | None, typer.Option(help="Bind its process to this processor.")] = None,
) -> None:
    """Make a carousel; it sends once it has a release."""
    body = {"name": name, "group": group, "interface": interface, "rate_bps": parse_rate_bps(rate)}
    body |= {"ttl": ttl, "dscp": dscp, "pair": pair, "core": core}
    body["announce_interval_s"] = options.parse_announce_interval_s(announce_interval)
    if ssu:
        stream = {"service_id": service_id, "network_id": network_id, "ts_id": ts_id}
        body["ssu"] = stream | {"pid": options.parse_number(pid, "PID"), "has_rtp": rtp, "has_pcr": pcr}
    _tell_trouble(context.obj.ask("POST", "carousels", body=body))


@app.command()
def drop(context: typer.Context, name: NameArgument) -> None:
    """Take a carousel off the air for good."""
    context.obj.get("carousels", name)
    context.obj.ask("DELETE", "carousels", name)


@app.command()
def put(
    context: typer.Context,
    name: NameArgument,
    release: ReleaseArgument,
    weight: Annotated[float, typer.Option(help="How much it is wanted, beside the others.")] = 1.0,
    deadline: Annotated[
        str | None, typer.Option(help="A box must have it within this time: 60s, 10m.", metavar="TIME")
    ] = None,
) -> None:
    """Put a release on the air, or change how much it is wanted there."""
    client: Client = context.obj
    key = _release(client, release)
    client.get("carousels", name)
    body = {"weight": weight, "deadline_s": parse_duration_s(deadline) if deadline else None}
    _tell_trouble(client.ask("PUT", "carousels", name, "releases", key, body=body))


@app.command()
def take(context: typer.Context, name: NameArgument, release: ReleaseArgument) -> None:
    """Take a release off the air."""
    client: Client = context.obj
    key = _release(client, release)
    client.get("carousels", name)
    client.ask("DELETE", "carousels", name, "releases", key)


@app.command()
def pause(context: typer.Context, name: NameArgument) -> None:
    """Have a carousel send nothing for a while."""
    _change(context.obj, name, is_paused=True)


@app.command()
def resume(context: typer.Context, name: NameArgument) -> None:
    """Let a carousel go on."""
    _change(context.obj, name, is_paused=False)


@app.command()
def rate(
    context: typer.Context,
    name: NameArgument,
    rate: Annotated[str, typer.Argument(help="Bit/s.", metavar="RATE")],
    begin: Annotated[str | None, option("From this time of day on.", "--from", group=HOURS, metavar="HH:MM")] = None,
    end: Annotated[str | None, option("Until this one.", "--to", group=HOURS, metavar="HH:MM")] = None,
    always: Annotated[bool, option("At all hours: forget those with another.", "--always", group=HOURS)] = False,
) -> None:
    """Give a carousel another rate: at the hours that are named, else at those that have none of their own."""
    if (begin is None) is not (end is None) or (always and begin is not None):
        raise UsageError("a time of day takes --from and --to, both; --always takes neither")
    client: Client = context.obj
    if begin is None:
        _change(client, name, rate_bps=parse_rate_bps(rate), **({"hours": []} if always else {}))
        return
    for given in (begin, end):
        if not TIME_OF_DAY.fullmatch(str(given)):
            raise UsageError(f"{given!r} is no time of day such as 06:30")
    hours = client.get("carousels", name)["decided"]["hours"]
    left = [each for each in hours if (each["begin"], each["end"]) != (begin, end)]
    wanted = {"begin": begin, "end": end, "rate_bps": parse_rate_bps(rate)}
    client.ask("PATCH", "carousels", name, body={"hours": [*left, wanted]})


@app.command()
def stage(
    context: typer.Context,
    release: ReleaseArgument,
    percent: Annotated[
        str | None, typer.Option(help="The share of boxes that it is for: 1, 0.1, 1%.", metavar="PERCENT")
    ] = None,
    new_canaries: Annotated[bool, typer.Option("--new-canaries", help="Draw other boxes than before.")] = False,
    stages: Annotated[
        str | None,
        option("Go on by rule: '1% 10m, 10% 1h, 100%'; off: a person decides again.", group=RULE, metavar="STAGES"),
    ] = None,
    success: Annotated[
        str, option("What lets a stage go on once its time is over: samples or time.", group=RULE, metavar="WHAT")
    ] = "samples",
    failures_below: Annotated[
        str, option("Halt above, go on below this share of failed trials.", group=RULE, metavar="SHARE")
    ] = "2%",
    confirm_within: Annotated[
        str, option("A trial that is not confirmed by then has failed.", group=RULE, metavar="TIME")
    ] = "10min",
    report_to: Annotated[
        str, option("Where boxes report; else where the service listens.", group=RULE, metavar="ADDRESS:PORT")
    ] = "",
) -> None:
    """Let a release go to a share of the boxes. Shares only grow, unless other boxes are drawn."""
    if (percent is None) is (stages is None):
        raise UsageError("say either --percent, or --stages for a rule")
    from headend.rollout.decisions import parse_share  # noqa: PLC0415  only who stages needs the rules of roll-outs
    from headend.rollout.stages import parse_rule  # noqa: PLC0415  the same

    if stages not in (None, "off"):
        parse_rule(stages)
    share = None if percent is None else parse_share(percent)
    client: Client = context.obj
    at = ("rollout", "releases", _release(client, release))
    client.get("rollout")
    if share is not None:
        client.ask("PUT", *at, "stage", body={"percent": round(share * 100, 9), "draws_anew": new_canaries})
    elif stages == "off":
        client.ask("DELETE", *at, "rule")
    else:
        body = {"stages": stages, "success": success, "failures_below": parse_probability(failures_below)}
        body |= {"confirm_within_s": parse_duration_s(confirm_within), "report_to": report_to}
        client.ask("PUT", *at, "rule", body=body)


@app.command()
def halt(
    context: typer.Context,
    release: ReleaseArgument,
    why: Annotated[str, typer.Option(help="Boxes show 32 bytes of it.", metavar="TEXT")] = "",
) -> None:
    """Stop a release on every box, whatever else was decided meanwhile."""
    client: Client = context.obj
    key = _release(client, release)
    client.revision = "*"
    client.ask("PUT", "rollout", "releases", key, "halt", body={"why": why})


@app.command("resume-rollout")
def resume_rollout(context: typer.Context, release: ReleaseArgument) -> None:
    """Let a halted release go on where it was."""
    client: Client = context.obj
    key = _release(client, release)
    client.get("rollout")
    client.ask("DELETE", "rollout", "releases", key, "halt")


@app.command()
def gate(
    context: typer.Context,
    state: Annotated[str, typer.Argument(help="open, hold, tick, or none.", metavar="STATE")],
    ticks_per_s: Annotated[float, typer.Option(help="Its pace.", min=0, metavar="N")] = 1.0,
    new_chain: Annotated[bool, typer.Option("--new-chain", help="Draw everybody's turn anew.")] = False,
    capacity_url: Annotated[
        str,
        typer.Option(
            help="Pace it by what this says from now on (docs/rollout.md); push: for a server that tells by itself.",
            metavar="URL",
        ),
    ] = "",
) -> None:
    """Set the log-in gate. One that ticks already goes on at the given pace."""
    client: Client = context.obj
    client.get("rollout")
    body = {"state": state, "ticks_per_s": ticks_per_s, "draws_anew": new_chain, "capacity_url": capacity_url}
    client.ask("PUT", "rollout", "gate", body=body)


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show everything on one screen."""
    found = context.obj.get("status")
    if as_json:
        print(json.dumps(found))
        return
    if found["damage"]:
        print(printable(found["damage"]))
    for each in found["interfaces"]:
        budget = f" of {format_rate_bps(each['budget_bps'])}" if each["budget_bps"] is not None else ""
        print(printable(f"{each['name']}: {format_rate_bps(each['wanted_bps'])}{budget} wanted"))
    _show_carousels(found["carousels"], False)
    for each in found["releases"]:
        print(printable(f"{each['name']} {each['version']} ({each['id'][:12]}): for {_stage_of(each)}"))
    if found["rollout"]["can_speak"]:
        print(printable(f"bulletins: epoch {found['rollout']['epoch']}, gate {_gate_of(found['rollout']['gate'])}"))
    print(f"audit log: {found['audit']['entries']} entries, head {found['audit']['head'][:16]}")


@audit.command("verify")
def verify_audit(context: typer.Context) -> None:
    """Check the whole log against its chain, and the registry against the log; exit 1 if anything is not as it was."""
    found = context.obj.get("audit", "verify")
    print(f"{found['entries']} entries, head {found['head']}")
    if not found["is_sound"]:
        raise OperatorError(f"the audit log does not verify: {found['problem']}")


@audit.command("show")
def show_audit(context: typer.Context, as_json: AsJson = False) -> None:
    """List the last hundred decisions, the newest first."""
    found = context.obj.get("audit")
    rows = [
        (str(each["number"]), _when(each["unix_s"]), each["who"], each["action"], each["key"], each["detail"])
        for each in found
    ]
    _show(found, ("number", "when", "who", "action", "what", "detail"), rows, as_json)


@tokens.command("list")
def list_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List who is let in."""
    found = context.obj.get("tokens")
    _show(found, ("name", "role"), [(each["name"], each["role"]) for each in found], as_json)


@tokens.command("add")
def add_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose.", metavar="NAME")],
    role: Annotated[str, typer.Option(help="view, operate or admin.", metavar="ROLE")] = "view",
) -> None:
    """Let somebody in: prints a token, this once."""
    if role not in ROLES:
        raise UsageError(f"{role!r} is no role: there are {', '.join(ROLES[:-1])} and {ROLES[-1]}")
    print(context.obj.ask("POST", "tokens", body={"name": name, "role": role})["token"])


@tokens.command("delete")
def delete_token(context: typer.Context, name: Annotated[str, typer.Argument(help="Whose.", metavar="NAME")]) -> None:
    """Let somebody in no more."""
    context.obj.ask("DELETE", "tokens", name)


def _when(unix_s: float) -> str:
    """Return a date and a time of day, local, with how far that is from UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(unix_s))


def _stage_of(release: dict[str, Any]) -> str:
    share = "all" if release["percent"] is None else f"{release['percent']:g} %"
    rule = release["rule"]
    if rule is not None:
        trials = rule["trials"]
        share += f", by rule ({rule['stages']})"
        if rule["success"] == "samples":
            share += f", {trials['confirmed']} of {trials['started']} trials confirmed, {trials['failed']} failed"
    return f"{share}, halted: {release['why']}" if release["is_halted"] else share


def _hours_of(decided: dict[str, Any]) -> str:
    hours = [f"{format_rate_bps(each['rate_bps'])} {each['begin']}-{each['end']}" for each in decided["hours"]]
    return ", ".join([*hours, f"else {format_rate_bps(decided['rate_bps'])}"])


def _gate_of(gate: dict[str, Any]) -> str:
    words = str(gate["state"])
    if words == "ticking":
        words += f" {gate['tick']:,} of {gate['ticks']:,}, {gate['ticks_per_s']:g} a second"
    if not gate["capacity_url"]:
        return words
    if gate["heard_ago_s"] is None:
        return f"{words}, by {gate['capacity_url']}, which has said nothing yet"
    load = f"{gate['logins_per_s']:g} of {gate['capacity_per_s']:g} log-ins a second"
    health = "" if gate["is_healthy"] else ", not healthy"
    return f"{words}, by {gate['capacity_url']}: {load}{health}, {gate['heard_ago_s']:.0f} s ago"


def _tell_trouble(shown: dict[str, Any]) -> None:
    """Say what keeps a carousel from sending although it is decided."""
    if shown["on_air"]["trouble"]:
        print(printable(f"headend: {shown['decided']['name']}: {shown['on_air']['trouble']}"), file=sys.stderr)


def _change(client: Client, name: str, **what: Any) -> None:
    client.get("carousels", name)
    client.ask("PATCH", "carousels", name, body=what)


def _release(client: Client, wanted: str) -> str:
    """Return the ID of what a person calls a release; `OperatorError` where there is none, or several."""
    name, _, version = wanted.partition(":")
    found = [
        each
        for each in client.get("releases")
        if (len(wanted) >= 4 and each["id"].startswith(wanted.lower()))
        or (each["name"] == name and version in ("", each["version"]))
    ]
    if not found:
        raise OperatorError(f"there is no release {wanted!r} here; `headend ctl releases` lists them")
    if len(found) > 1:
        which = ", ".join(f"{each['id'][:12]} ({each['version']}, {each['hardware']})" for each in found[:8])
        raise OperatorError(f"{wanted!r} is {len(found)} releases: {which}; say which by NAME:VERSION, or by its ID")
    return str(found[0]["id"])


def _show_carousels(found: list[dict[str, Any]], as_json: bool) -> None:
    rows = []
    for each in found:
        decided, live = each["decided"], each["on_air"]
        state = live["trouble"] or ("paused" if decided["is_paused"] else "on the air" if live["places"] else "silent")
        where = f"{decided['group']} on {decided['interface']}"
        rates = f"{format_rate_bps(live['rate_bps'])} of {format_rate_bps(each['rate_now_bps'])}"
        if decided["hours"]:
            rates += f" ({_hours_of(decided)})"
        sent = {place["id"]: f"{place['share']:.0%}" for place in live["places"]}
        on_air = ", ".join(
            f"{airing['release'][:8]} {sent.get(airing['release'], 'not sent')}" for airing in decided["airings"]
        )
        rows.append((decided["name"], where, rates, state, on_air or "-"))
    _show(found, ("name", "group", "rate", "state", "releases"), rows, as_json)


def _show(found: Any, titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], as_json: bool) -> None:
    """Print a table for people, or what was answered for programs."""
    if as_json:
        print(json.dumps(found))
        return
    lines = [titles, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
