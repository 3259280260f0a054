import pytest

from carousel.console.quantities import format_rate_bps, format_size_bytes, parse_probability, parse_rate_bps
from carousel.errors import OperatorError


@pytest.mark.parametrize(("text", "rate"), [("50M", 50e6), ("1.5G", 1.5e9), ("500k", 5e5), ("64000", 64e3)])
def test_rates(text, rate):
    assert parse_rate_bps(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-5M", "0", "5 M", "1e9", "2000G", "50Mb"])
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


def test_numbers_for_people():
    assert format_rate_bps(50e6) == "50.0 Mb/s"
    assert format_size_bytes(999) == "999 B"
