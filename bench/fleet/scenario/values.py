"""A scenario: a fleet, its links, and what happens. Pure values; reading.py reads them from TOML."""

from dataclasses import dataclass
from enum import Enum

from bench.link.spec import LinkSpec

__all__ = [
    "BoxClass",
    "Carousel",
    "Cut",
    "Discipline",
    "Group",
    "Login",
    "Peers",
    "Region",
    "ReleaseSpec",
    "Retry",
    "RetryKind",
    "Rollout",
    "Scenario",
    "Server",
    "Silence",
    "Spread",
    "SpreadKind",
    "Trunk",
    "apportion",
]


class SpreadKind(Enum):
    """How power-on times are spread."""

    AT_ONCE = "at-once"
    UNIFORM = "uniform"
    NORMAL = "normal"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True)
class Spread:
    """When boxes power up: at once; evenly over `over_s`; normal, 99.7 % within it; exponential, with that mean."""

    kind: SpreadKind = SpreadKind.AT_ONCE
    over_s: float = 0.0


@dataclass(frozen=True)
class Silence:
    """A head-end dies, or its line does: from `at_s` on for `for_s` the carousel has `rate_share` of its rate."""

    at_s: float
    for_s: float
    rate_share: float = 0.0


@dataclass(frozen=True)
class Carousel:
    """The broadcast. `rate_bps` counts UDP payload, as `headend cast --rate` does.

    It goes on where it stood after each of its `silences`. Of a pair the other head-end takes over after `takeover_s`.
    """

    rate_bps: float
    announce_interval_s: float = 0.25
    takeover_s: float = 1.0
    silences: tuple[Silence, ...] = ()


@dataclass(frozen=True)
class ReleaseSpec:
    """An image on the carousel."""

    name: str
    image_bytes: int
    repair_ratio: float = 1.0
    symbol_bytes: int = 1440


@dataclass(frozen=True)
class Trunk:
    """A line that a neighbourhood of `boxes` boxes shares: what it loses, all of them lose."""

    name: str
    boxes: int
    down: LinkSpec


@dataclass(frozen=True)
class BoxClass:
    """Boxes of one kind behind links of one kind. `install_s` and `boot_s` follow on the verified image.

    `work_bytes_per_s` is how fast a box decodes and hashes a block that is full, one after the other (None: at once),
    `flash_bytes_per_s` how fast it writes the image when it installs it.
    """

    name: str
    share: float
    release: str
    down: LinkSpec
    up: LinkSpec
    trunk: str | None = None
    install_s: float = 0.0
    boot_s: float = 0.0
    work_bytes_per_s: float | None = None
    flash_bytes_per_s: float | None = None


@dataclass(frozen=True)
class Cut:
    """The power of a region fails at `at_s` for `for_s`."""

    at_s: float
    for_s: float

    @property
    def end_s(self) -> float:
        """When power is back."""
        return self.at_s + self.for_s


@dataclass(frozen=True)
class Region:
    """A part of the fleet: when its power comes back, when it fails again (`cuts`, in order), and its mix of classes
    where it differs from the fleet's.
    """

    name: str
    share: float
    power_at_s: float = 0.0
    spread: Spread = Spread()
    classes: tuple[tuple[str, float], ...] = ()
    cuts: tuple[Cut, ...] = ()


class RetryKind(Enum):
    """What a box does when it was turned away."""

    IMMEDIATE = "immediate"
    BACKOFF = "backoff"
    RANDOM = "random"


@dataclass(frozen=True)
class Retry:
    """`wait_s`: the first wait of an exponential back-off, or the mean of random waits; `most_s` caps a back-off."""

    kind: RetryKind
    wait_s: float = 1.0
    most_s: float = 300.0


class Discipline(Enum):
    """What a login server does when more ask than it can answer."""

    QUEUE = "queue"
    """Answers in turn, stale requests too."""
    LIFO = "newest first"
    DEADLINE = "drops stale requests"
    TOKENS = "takes what it can answer in time"
    RETRY_AFTER = "tells when to come back"
    GATE = "broadcast gate"
    """The carousel says who may log in now, and knows how many that may be: nobody else even asks."""
    CAROUSEL_GATE = "carousel + gate"
    """The same as bulletins do it: turns by ticks, and a pace found from what the log-in system says of itself."""


@dataclass(frozen=True)
class Server:
    """Unicast boot servers (TFTP or HTTP), balanced. Capacities are for each million boxes, so that fleets scale.

    An HTTP client takes `streams` connections; with `resume` it goes on where it was (Range), else what is not done at
    `transfer_timeout_s` starts over. `elastic_share` more capacity, all that can be had, is there
    `elastic_after_s` after the server was first full; `fails_share` is missing from `fails_at_s` for `fails_for_s`.
    Prices are in dollars for each TB sent, and for each Gb/s of added capacity and hour until all are served.
    """

    protocol: str = "http"
    streams: int = 4
    resume: bool = True
    elastic_share: float = 0.0
    elastic_after_s: float = 0.0
    price_per_tb: float = 0.0
    price_per_gbps_hour: float = 0.0
    fails_share: float = 1.0
    fails_at_s: float = 0.0
    fails_for_s: float = 0.0
    rate_bps_per_million: float = 2e9
    connections_per_million: float = 10_000.0
    requests_per_s_per_million: float = 20_000.0
    request_timeout_s: float = 3.0
    transfer_timeout_s: float = 300.0


@dataclass(frozen=True)
class Peers:
    """Peer-to-peer distribution. `supernode_share` of all boxes serve others; they restart with everybody.

    `eligible_share` of all boxes can be reached from outside, and so become super nodes.
    """

    supernode_share: float = 0.01
    eligible_share: float = 0.2
    slots: int = 8
    rate_bps: float = 20e6
    restart_share: float = 0.95
    promote_after_s: float = 60.0
    request_timeout_s: float = 3.0
    probes_per_s: float = 20.0


@dataclass(frozen=True)
class Login:
    """The two-step login after boot: find a super node with a free slot, then the login server.

    `overload_loss_per_s` is the share of super nodes that fall out each second for each multiple of their load beyond
    what they can answer.
    """

    supernode_share: float = 0.005
    eligible_share: float = 0.5
    slots: int = 400
    restart_share: float = 0.95
    promote_after_s: float = 300.0
    heal_share_per_s: float = 1e-3
    probes_per_s: float = 20.0
    overload_loss_per_s: float = 0.002
    logins_per_s_per_million: float = 2_000.0
    queue_per_million: float = 20_000.0
    timeout_s: float = 5.0
    disciplines: tuple[Discipline, ...] = (Discipline.QUEUE,)


@dataclass(frozen=True)
class Rollout:
    """A new image by stages, each over `stage_over_s` and watched for `soak_s`; `plans` of cumulative shares are run.

    It breaks `failing_share` of the boxes, of which `recovering_share` come back to their old image by themselves;
    `reporting_share` of all can report, `report_delay_s` later. It is withdrawn once more than `stop_above` of at least
    `least_reports` report a failure. `rules` are run as bulletins do it (headend/rollout/stages.py): so many reports a
    second are asked for, however many boxes there are, and `report_loss` of them are lost.
    """

    plans: tuple[tuple[float, ...], ...] = ((0.01, 0.1, 1.0), (0.1, 1.0), (1.0,))
    stage_over_s: float = 3600.0
    soak_s: float = 3600.0
    failing_share: float = 0.3
    recovering_share: float = 0.9
    reporting_share: float = 0.001
    report_delay_s: float = 900.0
    stop_above: float = 0.02
    least_reports: int = 50
    rules: tuple[str, ...] = ()
    reports_per_s: float = 5.0
    report_loss: float = 0.005


@dataclass(frozen=True)
class Scenario:
    """Everything about a run but its seed."""

    name: str
    title: str
    boxes: int
    horizon_s: float
    deadline_s: float
    carousel: Carousel
    releases: tuple[ReleaseSpec, ...]
    classes: tuple[BoxClass, ...]
    regions: tuple[Region, ...]
    trunks: tuple[Trunk, ...] = ()
    strategies: tuple[str, ...] = ("carousel",)
    retries: tuple[Retry, ...] = (Retry(RetryKind.IMMEDIATE), Retry(RetryKind.BACKOFF), Retry(RetryKind.RANDOM, 30.0))
    healing: tuple[bool, ...] = (True, False)
    server: Server | None = None
    datacentres: Server | None = None
    elastic: Server | None = None
    peers: Peers | None = None
    login: Login | None = None
    rollout: Rollout | None = None
    description: str = ""
    keeps_parts: bool = True
    """Whether boxes keep what they received over a power cut."""

    def release(self, name: str) -> ReleaseSpec:
        """Return a release by name."""
        return next(each for each in self.releases if each.name == name)

    def trunk(self, name: str | None) -> Trunk | None:
        """Return a trunk by name; None for none."""
        return next((each for each in self.trunks if each.name == name), None)

    def install_s(self, box_class: BoxClass) -> float:
        """Return how long a class takes to install its image."""
        flash_bytes_per_s = box_class.flash_bytes_per_s
        write_s = self.release(box_class.release).image_bytes / flash_bytes_per_s if flash_bytes_per_s else 0.0
        return box_class.install_s + write_s

    def start_up_s(self, box_class: BoxClass) -> float:
        """Return how long a class takes from the verified image until it runs."""
        return self.install_s(box_class) + box_class.boot_s

    def groups(self) -> tuple["Group", ...]:
        """Split the fleet into regions and classes, each box in one group; the counts add up to `boxes`."""
        by_name = {each.name: each for each in self.classes}
        parts = []
        for region, boxes in zip(self.regions, apportion(self.boxes, [r.share for r in self.regions]), strict=True):
            mix = region.classes or tuple((each.name, each.share) for each in self.classes)
            counts = apportion(boxes, [share for _, share in mix])
            parts += [(region, by_name[name], count) for (name, _), count in zip(mix, counts, strict=True)]
        return tuple(Group(index, *part) for index, part in enumerate(parts) if part[2])


@dataclass(frozen=True)
class Group:
    """The boxes of one class in one region: exchangeable but for the trunk they are behind."""

    index: int
    region: Region
    box_class: BoxClass
    boxes: int


def apportion(whole: int, shares: list[float]) -> list[int]:
    """Split `whole` by shares into whole numbers: rounded down, what is left to the largest remainders."""
    total = sum(shares)
    exact = [whole * share / total for share in shares]
    parts = [int(each) for each in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in by_remainder[: whole - sum(parts)]:
        parts[index] += 1
    return parts
