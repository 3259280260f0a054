"""What Prometheus reads at /metrics: by name what each carousel's process says, and what is decided."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

from headend.serve import views
from headend.serve.headend import Headend
from headend.serve.views import CarouselShown

__all__ = ["CONTENT_TYPE", "metrics_text"]

COUNTERS: dict[str, tuple[str, Callable[[CarouselShown], float]]] = {
    "sent_bytes": ("UDP payload sent.", lambda shown: shown.on_air.sent_bytes),
    "sent_packets": ("Packets sent.", lambda shown: shown.on_air.sent_packets),
    "send_errors": ("Batches that the network did not take.", lambda shown: shown.on_air.errors),
    "starts": ("Processes started; more than one: it died.", lambda shown: shown.on_air.starts),
}
GAUGES: dict[str, tuple[str, Callable[[CarouselShown], float]]] = {
    "up": ("Whether there is a process.", lambda shown: shown.on_air.pid is not None),
    "rate_bytes_per_second": ("Sent in the last second.", lambda shown: shown.on_air.rate_bps / 8),
    "wanted_rate_bytes_per_second": ("As decided for now.", lambda shown: shown.rate_now_bps / 8),
    "cycle": ("The cycle that its first release is in.", lambda shown: shown.on_air.cycles),
    "announcement_age_seconds": ("Since the last announcement.", lambda shown: shown.on_air.announced_ago_s),
    "releases": ("Releases decided to be on the air.", lambda shown: len(shown.decided.airings)),
    "paused": ("Whether it is paused.", lambda shown: shown.decided.is_paused),
    "in_trouble": ("Whether something keeps it from sending.", lambda shown: bool(shown.on_air.trouble)),
}


class _Collector:
    def __init__(self, headend: Headend) -> None:
        self._headend = headend

    def collect(self) -> Iterator[Metric]:
        """Yield all, as of now."""
        status = views.status(self._headend)
        yield InfoMetricFamily("bootcast_headend", "The program.", {"version": status.version})
        for name, (text, value) in COUNTERS.items():
            counter = CounterMetricFamily(f"bootcast_carousel_{name}", text, labels=["carousel"])
            for shown in status.carousels:
                counter.add_metric([shown.decided.name], value(shown))
            yield counter
        for name, (text, value) in GAUGES.items():
            gauge = GaugeMetricFamily(f"bootcast_carousel_{name}", text, labels=["carousel"])
            for shown in status.carousels:
                gauge.add_metric([shown.decided.name], float(value(shown)))
            yield gauge
        yield from _shares(status)
        yield from _stages(status)
        yield from _trials(status)
        yield from _gate(status)
        yield from _budgets(status)
        yield CounterMetricFamily("bootcast_audit_entries", "Decisions in the audit log.", status.audit.entries)
        yield GaugeMetricFamily("bootcast_registry_damaged", "Whether nothing can be changed.", bool(status.damage))


def _shares(status: views.Status) -> Iterator[Metric]:
    share = GaugeMetricFamily(
        "bootcast_release_share_ratio", "Share of the carousel's rate.", labels=["carousel", "release"]
    )
    for shown in status.carousels:
        for place in shown.on_air.places:
            share.add_metric([shown.decided.name, place.id], place.share)
    yield share


def _stages(status: views.Status) -> Iterator[Metric]:
    stage = GaugeMetricFamily("bootcast_release_stage_ratio", "The share of boxes that it is for.", labels=["release"])
    halted = GaugeMetricFamily("bootcast_release_halted", "Whether it is halted.", labels=["release"])
    for release in status.releases:
        stage.add_metric([release.id], 1.0 if release.percent is None else release.percent / 100)
        halted.add_metric([release.id], float(release.is_halted))
    yield stage
    yield halted
    yield GaugeMetricFamily("bootcast_bulletin_epoch", "Epoch of what is decided.", status.rollout.epoch)


def _trials(status: views.Status) -> Iterator[Metric]:
    """Trials that boxes reported, on each carousel that has the release: a report does not say where it was heard."""
    name, text = "bootcast_carousel_trials", "Trials of a release by what boxes reported of them."
    trials = GaugeMetricFamily(name, text, labels=["carousel", "release", "outcome"])
    for release in status.releases:
        if release.rule is None:
            continue
        found = release.rule.trials
        outcomes = {"confirmed": found.confirmed, "failed": found.failed}
        outcomes["pending"] = found.started - found.confirmed - found.failed
        for carousel in release.carousels:
            for outcome, count in outcomes.items():
                trials.add_metric([carousel, release.id, outcome], count)
    yield trials
    reports = CounterMetricFamily("bootcast_reports", "Reports that came.", labels=["verdict"])
    for verdict in ("counted", "unproven", "malformed"):
        reports.add_metric([verdict], getattr(status.rollout.reports, verdict))
    yield reports


def _gate(status: views.Status) -> Iterator[Metric]:
    gate = status.rollout.gate
    state = GaugeMetricFamily("bootcast_gate_state", "The log-in gate: 1 at its state.", labels=["state"])
    for word in ("none", "open", "hold", "ticking"):
        state.add_metric([word], float(gate.state == word))
    yield state
    yield GaugeMetricFamily("bootcast_gate_tick", "The tick that it is at.", gate.tick)
    yield GaugeMetricFamily("bootcast_gate_ticks_per_second", "Its pace.", gate.ticks_per_s)
    if gate.logins_per_s is not None and gate.capacity_per_s is not None:
        yield GaugeMetricFamily("bootcast_gate_logins_per_second", "As its server says.", gate.logins_per_s)
        yield GaugeMetricFamily("bootcast_gate_capacity_per_second", "As its server says.", gate.capacity_per_s)


def _budgets(status: views.Status) -> Iterator[Metric]:
    name, text = "bootcast_interface_budget_bytes_per_second", "What the operator says that it bears."
    budget = GaugeMetricFamily(name, text, labels=["interface"])
    for interface in status.interfaces:
        if interface.budget_bps is not None:
            budget.add_metric([interface.name], interface.budget_bps / 8)
    yield budget


def metrics_text(headend: Headend) -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(headend))
    return generate_latest(registry)
