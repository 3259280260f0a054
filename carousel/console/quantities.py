"""Rates, sizes, times and shares as people type and read them; every command reads them here, so alike.

A unit may be left out or written out: `50M`, `50Mb/s`, `50Mbit` and `6.25MB/s` are one rate, `60` and `60s` one time,
`64M` and `64MB` one size, and `64Mi` and `64MiB` a slightly larger one.
"""

import re

from carousel.errors import UsageError

__all__ = [
    "format_count",
    "format_duration_s",
    "format_rate_bps",
    "format_size_bytes",
    "parse_count",
    "parse_duration_s",
    "parse_probability",
    "parse_rate_bps",
    "parse_size_bytes",
]

_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_RATE = r"(\d+(?:\.\d+)?) ?([kKMG]?)(|(?:bit|b)(?:/s|ps)?|B(?:/s|ps)|/s)"
_COUNT = r"(\d+(?:\.\d+)?)([kKMG]?)"
_SIZE = r"(\d+(?:\.\d+)?) ?(|[kKMG]|[kKMG]i)B?"
_BINARY = {"ki": 1 << 10, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_DURATION = r"(\d+(?:\.\d+)?) ?(|us|ms|s|m|min|h|d)"
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SHARE = r"(\d+(?:\.\d+)?)(%?)"


def parse_rate_bps(text: str) -> float:
    """Read a rate such as `50M` or `1.5G` in bit/s, decimal; `MB/s` are bytes, so eight times as much."""
    match = re.fullmatch(_RATE, text)
    rate = float(match[1]) * _SCALE[match[2]] * (8 if match[3].startswith("B") else 1) if match else 0.0
    if not 1e3 <= rate <= 1e12:
        raise UsageError(
            f"rate {text!r} is not a rate in bit/s such as 500k, 50M or 1.5Gbit (1k to 1000G), nor one such as 6MB/s"
        )
    return rate


def parse_probability(text: str) -> float:
    """Read a share such as `5%` or `0.05`; at least 0, below 1."""
    match = re.fullmatch(_SHARE, text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share < 1:
        raise UsageError(f"{text!r} is not a share such as 5% or 0.05 (at least 0, below 1)")
    return share


def parse_count(text: str) -> int:
    """Read a whole number such as `1000`, `12k` or `220M`, at least 1."""
    match = re.fullmatch(_COUNT, text)
    count = float(match[1]) * _SCALE[match[2]] if match else 0.0
    if not 1 <= count <= 1e12 or count != int(count):
        raise UsageError(f"{text!r} is not a whole number such as 1000, 12k or 220M")
    return int(count)


def parse_size_bytes(text: str) -> int:
    """Read a size such as `64M`, `64MB` (decimal), `64Mi` or `64MiB` (binary), in bytes."""
    match = re.fullmatch(_SIZE, text)
    size = float(match[1]) * (_SCALE | _BINARY)[match[2]] if match else 0.0
    if not 1 <= size <= 1e13:
        raise UsageError(f"{text!r} is not a size in bytes such as 500k, 64MB or 64MiB")
    return int(size)


def parse_duration_s(text: str) -> float:
    """Read a time such as `60` or `60s`, `250ms`, `10m` or `2d`, in seconds."""
    match = re.fullmatch(_DURATION, text)
    duration_s = float(match[1]) * _SECONDS[match[2]] if match else -1.0
    if not 0 <= duration_s <= 1e8:
        raise UsageError(f"{text!r} is not a time such as 60, 90s, 250ms, 10m or 2d")
    return duration_s


def format_count(count: float) -> str:
    """Write a number of things: `220M`, `12.5k`, `37`."""
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.4g}{prefix}"
    return f"{count:.4g}"


def format_duration_s(duration_s: float) -> str:
    """Write a time: `3.2 ms`, `12.5 s`, `3 min 20 s`, `2.1 d`."""
    if duration_s < 1:
        return f"{duration_s * 1e3:.3g} ms"
    if duration_s < 300:
        return f"{duration_s:.4g} s"
    if duration_s < 3 * 3600:
        return f"{duration_s / 60:.3g} min"
    return f"{duration_s / 3600:.3g} h" if duration_s < 2 * 86400 else f"{duration_s / 86400:.3g} d"


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
