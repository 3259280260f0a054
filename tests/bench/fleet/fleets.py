"""Scenarios for tests."""

from bench.fleet.scenario.values import BoxClass, Carousel, Region, ReleaseSpec, Scenario, Spread, SpreadKind, Trunk
from bench.link.spec import parse_link

SPREAD_S = 5.0


def scenario(
    boxes: int,
    image_bytes: int = 100_000,
    repair: float = 1.0,
    down: str = "",
    *,
    trunk: str | None = None,
    street: int = 50,
    rate_bps: float = 5e6,
    symbol_bytes: int = 256,
    spread_s: float = SPREAD_S,
    **fields: object,
) -> Scenario:
    """One class of boxes in one region, behind one kind of link."""
    spread = Spread(SpreadKind.UNIFORM, spread_s) if spread_s else Spread()
    known = {
        "horizon_s": 600.0,
        "deadline_s": 60.0,
        "carousel": Carousel(rate_bps),
        "releases": (ReleaseSpec("a", image_bytes, repair, symbol_bytes),),
        "classes": (BoxClass("c", 1.0, "a", parse_link(down), parse_link(""), "street" if trunk else None),),
        "regions": (Region("here", 1.0, 0.0, spread),),
        "trunks": (Trunk("street", street, parse_link(trunk)),) if trunk else (),
    }
    return Scenario(name="test", title="a test", boxes=boxes, **(known | fields))
