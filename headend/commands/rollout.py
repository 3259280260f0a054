"""`headend rollout`: what a carousel's bulletins say, in a file that `headend cast --rollout` rereads."""

import json
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from carousel.bulletin import ReportTo
from carousel.console.files import open_release
from carousel.console.quantities import parse_duration_s
from carousel.errors import UsageError
from carousel.gate import LEAST_TICKS, MOST_TICKS, GateState
from carousel.release.identity import RELEASE_ID_BYTES, ReleaseId
from carousel.report import box_key
from headend.commands.options import JsonOption
from headend.commands.rolloutwatch import watch_rollout
from headend.commands.teller import carousel_reporter
from headend.link.mailbox import parse_address
from headend.pack.keys import new_secret, read_secret
from headend.rollout.decisions import Decisions, GatePlan, fresh_salt, parse_share
from headend.rollout.stages import Success, parse_rule
from headend.rolloutfile import RolloutFile

__all__ = ["app"]

app = typer.Typer(
    help="Decide what boxes hear of releases: stages, halts, the log-in gate.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FileArgument = Annotated[Path, typer.Argument(help="The file of decisions; made if there is none.", metavar="FILE")]
ReleaseArgument = Annotated[
    str, typer.Argument(help="A release file, or a release's id (32 hex digits).", metavar="RELEASE")
]


def read_release(text: str) -> ReleaseId:
    """Read which release is meant."""
    if len(text) == 2 * RELEASE_ID_BYTES:
        try:
            return ReleaseId(bytes.fromhex(text))
        except ValueError:
            pass
    with open_release(Path(text)) as release:
        return release.header.release_id


def _unix_ms() -> int:
    return int(time.time() * 1000)


@app.command()
def stage(
    file: FileArgument,
    release: ReleaseArgument,
    percent: Annotated[str, typer.Argument(help="The share of boxes it is for, such as 1%.", metavar="PERCENT")],
    new_canaries: Annotated[bool, typer.Option("--new-canaries", help="Draw other boxes than before.")] = False,
) -> None:
    """Let a release go to a share of the boxes. Shares only grow, unless other boxes are drawn."""
    named, share = read_release(release), parse_share(percent)

    def decide(before: Decisions) -> Decisions:
        known = before.releases.get(named)
        salt = b"" if known and not new_canaries else fresh_salt(named, known.salt if known else b"")
        return before.staged(named, share, salt, _unix_ms())

    _tell(RolloutFile(file).change(decide), named)


@app.command()
def halt(
    file: FileArgument,
    release: ReleaseArgument,
    why: Annotated[str, typer.Option(help="Shown by `settop status`; 32 bytes are told.", metavar="TEXT")] = "",
) -> None:
    """Stop a release: boxes drop what they collect of it, and give it up where it is on trial."""
    named = read_release(release)
    _tell(RolloutFile(file).change(lambda before: before.halted(named, why, _unix_ms())), named)


@app.command()
def resume(file: FileArgument, release: ReleaseArgument) -> None:
    """Let a halted release go on where it was."""
    named = read_release(release)
    _tell(RolloutFile(file).change(lambda before: before.resumed(named, _unix_ms())), named)


@app.command()
def forget(file: FileArgument, release: ReleaseArgument) -> None:
    """Say nothing of a release any more: from then on it is for every box."""
    named = read_release(release)
    _tell(RolloutFile(file).change(lambda before: before.forgotten(named, _unix_ms())), named)


@app.command()
def gate(
    file: FileArgument,
    state: Annotated[str, typer.Argument(help="open, hold, tick, or none.", metavar="STATE")],
    ticks_per_s: Annotated[float, typer.Option(help="Its pace.", min=0, metavar="N")] = 1.0,
    ticks: Annotated[
        int, typer.Option(help="Of a new chain.", min=LEAST_TICKS, max=MOST_TICKS, metavar="N")
    ] = LEAST_TICKS,
    new_chain: Annotated[bool, typer.Option("--new-chain", help="Draw everybody's turn anew.")] = False,
) -> None:
    """Set the log-in gate. One that ticks already goes on at the given pace."""
    rollout = RolloutFile(file)
    states = {"open": GateState.OPEN, "hold": GateState.HOLD, "none": GateState.NONE, "tick": GateState.TICKING}
    if state not in states:
        raise UsageError(f"a gate is {', '.join(states)}, not {state!r}")

    def decide(before: Decisions) -> Decisions:
        now_s = time.time()
        if states[state] is not GateState.TICKING:
            return before.gated(GatePlan(states[state]), _unix_ms())
        if before.gate.state is GateState.TICKING and not new_chain:
            return before.paced(ticks_per_s, now_s)
        chain = rollout.new_chain(new_secret(), ticks)
        return before.gated(GatePlan(GateState.TICKING, chain, ticks, 0.0, now_s, ticks_per_s), _unix_ms())

    _tell(rollout.change(decide), None)


@app.command()
def show(file: FileArgument, as_json: JsonOption = False) -> None:
    """Show what is decided."""
    decisions = RolloutFile(file).load()
    if as_json:
        print(json.dumps(described(decisions, time.time())))
        return
    print(f"epoch {decisions.epoch}")
    for release in sorted(decisions.releases):
        print(_line(decisions, release))
    print(_gate_line(decisions.gate, time.time()))


@app.command()
def plan(
    file: FileArgument,
    release: ReleaseArgument,
    stages: Annotated[str, typer.Argument(help="1% 10min, 10% 1h, 100%; or off.", metavar="STAGES")],
    success: Annotated[Success, typer.Option(help="What lets a stage go on once its time is over.")] = Success.SAMPLES,
    failures_below: Annotated[
        str, typer.Option(help="Halt above, go on below this share of failed trials.", metavar="SHARE")
    ] = "2%",
    confirm_within: Annotated[
        str, typer.Option(help="A trial that is not confirmed by then has failed.", metavar="TIME")
    ] = "10min",
    report_to: Annotated[str | None, typer.Option(help="Where sampled boxes report.", metavar="ADDRESS:PORT")] = None,
    spread: Annotated[str, typer.Option(help="How late they report at most.", metavar="TIME")] = "2s",
) -> None:
    """Advance a release by rule, and ask for the reports that it goes by; `headend rollout watch` follows it."""
    named, to, rule = read_release(release), None, None
    if report_to is not None:
        to = ReportTo(*parse_address(report_to), 0, int(parse_duration_s(spread)))
    if stages != "off":
        rule = replace(
            parse_rule(stages, success, parse_share(failures_below)), confirm_within_s=parse_duration_s(confirm_within)
        )
        if to is None and success is Success.SAMPLES:
            raise UsageError("stages that go on by samples need --report-to; or take --success time")

    def decide(before: Decisions) -> Decisions:
        return before.ruled(named, rule, _unix_ms()).sampled(named, to, _unix_ms())

    _tell(RolloutFile(file).change(decide), named)


@app.command("box-key")
def box_key_of(
    secret: Annotated[Path, typer.Argument(help="From `headend keygen --reports`.", metavar="SECRET")],
    box_id: Annotated[str, typer.Argument(help="As `settop init --id` names it.", metavar="BOX-ID")],
) -> None:
    """Print a box's own key, for `settop init --report-key`: it makes its reports believed."""
    print(box_key(read_secret(secret), box_id).hex())


@app.command()
def watch(
    file: FileArgument,
    listen: Annotated[str | None, typer.Option(help="Where reports come in.", metavar="ADDRESS:PORT")] = None,
    secret: Annotated[
        Path | None, typer.Option(help="From `headend keygen --reports`: whose reports count.", metavar="FILE")
    ] = None,
    reports_per_s: Annotated[float, typer.Option(help="How many reports to ask for.", min=0.01, metavar="N")] = 20.0,
    capacity_url: Annotated[
        str | None,
        typer.Option(help="Pace the gate by what this says (docs/rollout.md); file:///... for a push.", metavar="URL"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the plans of releases, and pace the gate, until interrupted."""
    with closing(carousel_reporter(as_json)) as teller:
        watch_rollout(file, listen, secret, reports_per_s, capacity_url, teller.tell)


def described(decisions: Decisions, unix_s: float) -> dict[str, Any]:
    """Return what is decided, as JSON has it."""
    releases = [
        {"release": str(release), "percent": round(ruling.share * 100, 6), "halted": ruling.is_halted,
         "why": ruling.why}
        for release, ruling in sorted(decisions.releases.items())
    ]  # fmt: skip
    gate = decisions.gate
    entry = {"state": gate.state.name.lower(), "tick": int(gate.tick_at(unix_s)), "ticks": gate.ticks}
    return {"epoch": decisions.epoch, "releases": releases, "gate": entry | {"ticks_per_s": gate.ticks_per_s}}


def _line(decisions: Decisions, release: ReleaseId) -> str:
    ruling = decisions.releases.get(release)
    if ruling is None:
        return f"release {release}: for every box"
    halted = f", halted{': ' if ruling.why else ''}{ruling.why}" if ruling.is_halted else ""
    return f"release {release}: {ruling.share * 100:.4g} % of boxes{halted}"


def _gate_line(gate: GatePlan, unix_s: float) -> str:
    if gate.state is not GateState.TICKING:
        return f"gate {gate.state.name.lower()}"
    return f"gate ticking: {int(gate.tick_at(unix_s)):,} of {gate.ticks:,}, {gate.ticks_per_s:g} a second"


def _tell(decisions: Decisions, release: ReleaseId | None) -> None:
    line = _line(decisions, release) if release else _gate_line(decisions.gate, time.time())
    print(f"epoch {decisions.epoch}: {line}")
