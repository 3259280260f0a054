"""The configuration file, and what is wrong with one."""

import pytest

from carousel.errors import OperatorError
from headend.serve.settings import load_settings


def test_nothing_said_is_as_it_comes():
    settings = load_settings(None)
    assert (settings.budgets_bps, settings.largest_upload_bytes, settings.tls) == ({}, 8_000_000_000, None)


def test_an_operator_says_what_interfaces_bear(tmp_path):
    path = tmp_path / "headend.toml"
    path.write_text('upload = "64MiB"\nhosts = ["head.example"]\n[interfaces]\neth1 = "800M"\n')
    settings = load_settings(path)
    assert settings.budgets_bps == {"eth1": 800e6}
    assert (settings.largest_upload_bytes, settings.hosts) == (64 << 20, ("head.example",))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("interface = 1", "unknown field"),
        ("[interfaces]\neth1 = 800", "Expected `str`"),
        ("[interfaces", "docs/service.md"),
        ('[interfaces]\neth1 = "fast"', "no"),
        ('tls_key = "k"', "both"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, what):
    path = tmp_path / "headend.toml"
    path.write_text(text)
    with pytest.raises(OperatorError, match=what):
        load_settings(path)
