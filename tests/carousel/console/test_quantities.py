import pytest

from carousel.console.quantities import (
    format_rate_bps,
    format_size_bytes,
    parse_duration_s,
    parse_probability,
    parse_rate_bps,
    parse_size_bytes,
)
from carousel.errors import OperatorError


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *[("50M", 50e6), ("1.5G", 1.5e9), ("500k", 5e5), ("64000", 64e3), ("500K", 5e5)],
        *[("50Mbit", 50e6), ("50Mb/s", 50e6), ("50 Mbit/s", 50e6), ("50Mbps", 50e6), ("50M/s", 50e6)],
        *[("50MB/s", 400e6), ("6.25MBps", 50e6)],
    ],
)
def test_rates(text, rate):
    assert parse_rate_bps(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-5M", "0", "5  M", "1e9", "2000G", "50MB", "50m", "50Mi"])
def test_bad_rates_are_explained(text):
    with pytest.raises(OperatorError, match="bit/s"):
        parse_rate_bps(text)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("0", 0.0)])
def test_shares(text, share):
    assert parse_probability(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "100%", "1", "-1%", "x"])
def test_bad_shares_are_explained(text):
    with pytest.raises(OperatorError, match="share"):
        parse_probability(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64M", 64e6), ("64MB", 64e6), ("64 MB", 64e6), ("64Mi", 64 << 20), ("64MiB", 64 << 20), ("500k", 5e5), ("7", 7)],
)
def test_sizes(text, size):
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "big", "64Mb", "64M/s", "-1"])
def test_bad_sizes_are_explained(text):
    with pytest.raises(OperatorError, match="size"):
        parse_size_bytes(text)


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("60", 60),
        ("60s", 60),
        ("1.5 s", 1.5),
        ("250ms", 0.25),
        ("2m", 120),
        ("2min", 120),
        ("1h", 3600),
        ("2d", 172800),
    ],
)
def test_times(text, duration_s):
    assert parse_duration_s(text) == duration_s


@pytest.mark.parametrize("text", ["", "soon", "-1s", "5y"])
def test_bad_times_are_explained(text):
    with pytest.raises(OperatorError, match="time"):
        parse_duration_s(text)


def test_numbers_for_people():
    assert format_rate_bps(50e6) == "50.0 Mb/s"
    assert format_size_bytes(999) == "999 B"
