"""Rates, sizes and shares as people type and read them."""

import re

from carousel.errors import OperatorError

__all__ = ["format_rate_bps", "format_size_bytes", "parse_probability", "parse_rate_bps"]

_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)(%?)")


def parse_rate_bps(text: str) -> float:
    """Read a rate such as `50M` or `1.5G` in bit/s, decimal."""
    match = _RATE.fullmatch(text)
    rate = float(match[1]) * _SCALE[match[2]] if match else 0.0
    if not 1e3 <= rate <= 1e12:
        raise OperatorError(f"rate {text!r} is not a rate in bit/s such as 500k, 50M or 1.5G (1k to 1000G)")
    return rate


def parse_probability(text: str) -> float:
    """Read a share such as `5%` or `0.05`; at least 0, below 1."""
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share < 1:
        raise OperatorError(f"{text!r} is not a share such as 5% or 0.05 (at least 0, below 1)")
    return share


def format_rate_bps(rate_bps: float) -> str:
    """Write a rate: `50.0 Mb/s`."""
    return _scaled(rate_bps, "b/s")


def format_size_bytes(size_bytes: float) -> str:
    """Write a size: `64.0 MB`."""
    return _scaled(size_bytes, "B")


def _scaled(value: float, unit: str) -> str:
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {prefix}{unit}"
    return f"{value:.0f} {unit}"
