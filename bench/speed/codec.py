"""`bootbench codec`: what a block costs, natively, in NumPy and in PyPI's `raptorq`, in one run.

Machines are shared and noisy: the contestants take turns, each figure is the median of some turns' CPU time, and what
counts is the ratio. A block that was just encoded is still in the cache; a box's block is not. So the native core is
measured twice: on one block, and *cold*, on blocks in rotation that no cache holds.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Annotated, Any

import numpy as np
import typer

from carousel import fec
from carousel.buffers import Bytes, IntArray
from carousel.console.quantities import parse_count
from carousel.native import core

__all__ = ["Case", "Figure", "codec", "measure"]

CASES = ("encode", "1 %", "20 %", "40 %", "49 %", "all")
SIZES = "101,1000,2500,5000,7000"
SYMBOL_BYTES = 1440
COLD_BYTES = 96_000_000
"""Past every cache of a machine that has 32 MiB."""
SURPLUS = 2
"""Symbols received beyond K, as a box does."""


@dataclass(frozen=True)
class Case:
    """A block of K symbols, and what is to be done: `encode` K repair symbols, or decode with a share missing."""

    k: int
    what: str

    @property
    def missing(self) -> int:
        """Source symbols that are missing."""
        share = 1.0 if self.what == "all" else float(self.what.removesuffix(" %")) / 100
        return max(1, round(self.k * share))


@dataclass(frozen=True)
class Figure:
    """MB of source block a CPU second; None where the contestant is not to be had."""

    case: Case
    native: float | None
    cold: float | None
    numpy: float | None
    raptorq: float | None

    @property
    def ratio(self) -> float | None:
        """Native against raptorq."""
        return self.native / self.raptorq if self.native and self.raptorq else None


Turn = Callable[[], object]


def measure(case: Case, turns: int, with_numpy: bool = True) -> Figure:
    """Measure one case; the contestants take turns."""
    block = np.random.default_rng(case.k).integers(0, 256, (case.k, SYMBOL_BYTES), dtype=np.uint8)
    names = (["native"] if fec.native_available() else []) + (["numpy"] if with_numpy else [])
    contestants = {name: _turn_of_codec(fec.codec(name), case, [block]) for name in names}
    if (package := _raptorq()) is not None:
        contestants["raptorq"] = _turn_of_package(package, case, block)
    if fec.native_available():
        copies = [block.copy() for _ in range(-(-COLD_BYTES // block.nbytes))]
        contestants["cold"] = _turn_of_codec(fec.codec("native"), case, copies)
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, turn in contestants.items():
            start = time.process_time()
            turn()
            spent[name].append(time.process_time() - start)
    speeds = {name: block.nbytes / 1e6 / statistics.median(times) for name, times in spent.items()}
    return Figure(case, *(speeds.get(name) for name in ("native", "cold", "numpy", "raptorq")))


def _losses(case: Case) -> tuple[IntArray, IntArray]:
    """Return the missing ESIs, and the ESIs of repair symbols that came instead."""
    random = np.random.default_rng([case.k, case.missing])
    missing = np.sort(random.choice(case.k, case.missing, replace=False))
    came = np.sort(random.choice(2 * case.k, min(2 * case.k, case.missing + SURPLUS), replace=False))
    return missing, case.k + came


def _repair_of(block: Bytes, esis: IntArray) -> Bytes:
    out = np.empty((len(esis), block.shape[1]), dtype=np.uint8)
    fec.codec().encode(block, block.shape[1], esis, out)
    return out


def _turn_of_codec(codec: fec.Codec, case: Case, blocks: list[Bytes]) -> Turn:
    """Return what does the case once, on the next of these blocks; it is done once already, so that plans are made."""
    rotation = _rotate(blocks)
    if case.what == "encode":
        out = np.empty((case.k, SYMBOL_BYTES), dtype=np.uint8)
        esis = np.arange(case.k, 2 * case.k)

        def turn() -> object:
            codec.encode(next(rotation), SYMBOL_BYTES, esis, out)
            return out
    else:
        missing, came = _losses(case)
        repair = _repair_of(blocks[0], came)

        def turn() -> object:
            return codec.decode(next(rotation), SYMBOL_BYTES, missing, repair, np.arange(len(came)), came)

    turn()
    return turn


def _turn_of_package(package: Any, case: Case, block: Bytes) -> Turn:
    whole = block.tobytes()
    if case.what == "encode":
        return lambda: package.Encoder.with_defaults(whole, SYMBOL_BYTES).get_encoded_packets(case.k)
    missing, came = _losses(case)
    lost = set(missing.tolist())
    symbols = [(esi, block[esi]) for esi in range(case.k) if esi not in lost]
    symbols += zip(came.tolist(), _repair_of(block, came), strict=True)
    packets = [esi.to_bytes(4, "big") + symbol.tobytes() for esi, symbol in symbols]

    def turn() -> object:
        decoder = package.Decoder.with_defaults(len(whole), SYMBOL_BYTES)
        return next(found for packet in packets if (found := decoder.decode(packet)) is not None)

    return turn


def _raptorq() -> Any:
    try:
        return import_module("raptorq")
    except ImportError:
        return None


def _rotate(blocks: list[Bytes]) -> Iterator[Bytes]:
    while True:
        yield from blocks


def _speeds(figure: Figure) -> dict[str, float | None]:
    return {"native": figure.native, "cold": figure.cold, "numpy": figure.numpy, "raptorq": figure.raptorq}


def _cell(speed: float | None) -> str:
    return "-" if speed is None else f"{speed:,.0f}"


def codec(
    sizes: Annotated[str, typer.Option(metavar="K,K...", help="Source symbols of a block.")] = SIZES,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each; the median counts.")] = 9,
    with_numpy: Annotated[bool, typer.Option("--numpy/--no-numpy", help="Measure the fallback, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Measure what a block of RaptorQ costs: native, NumPy and PyPI's raptorq, in one run."""
    blocks = [parse_count(text) for text in sizes.split(",")]
    loaded = core()
    if not as_json:
        print(f"MB of source block a CPU second, T = {SYMBOL_BYTES}, medians of {turns} turns")
        print(f"native core: {loaded.kernels if loaded else fec.why_not_native()}\n")
        print(f"{'K':>5} {'what':>7} {'native':>8} {'cold':>8} {'NumPy':>8} {'raptorq':>8} {'native/raptorq':>15}")
    for k in blocks:
        for what in CASES:
            figure = measure(Case(k, what), turns, with_numpy)
            if as_json:
                print(json.dumps(asdict(figure.case) | _speeds(figure) | {"ratio": figure.ratio}), flush=True)
                continue
            cells = " ".join(f"{_cell(speed):>8}" for speed in _speeds(figure).values())
            ratio = "-" if figure.ratio is None else f"{figure.ratio:.1f}"
            print(f"{k:>5} {what:>7} {cells} {ratio:>15}", flush=True)
