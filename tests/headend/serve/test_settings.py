"""The configuration file, and what is wrong with one."""

import re
from pathlib import Path

import pytest

from carousel.console.defaults import config_file
from carousel.errors import OperatorError
from headend.serve.settings import load_settings

ROOT = Path(__file__).parents[3]


def test_nothing_said_is_as_it_comes():
    settings = load_settings(None)
    assert (settings.budgets_bps, settings.largest_upload_bytes, settings.tls) == ({}, 8_000_000_000, None)


def test_an_operator_says_what_interfaces_bear(tmp_path):
    path = tmp_path / "service.toml"
    path.write_text('upload = "64MiB"\nhosts = ["head.example"]\n[interfaces]\neth1 = "800M"\n')
    settings = load_settings(path)
    assert settings.budgets_bps == {"eth1": 800e6}
    assert (settings.largest_upload_bytes, settings.hosts) == (64 << 20, ("head.example",))


def test_the_example_of_the_documentation_can_be_read(tmp_path):
    path = tmp_path / "service.toml"
    documented = (ROOT / "docs" / "service.md").read_text()
    path.write_text(re.findall(r"```toml\n(.*?)```", documented, re.DOTALL)[0])
    assert load_settings(path).budgets_bps == {"eth1": 800e6}


def test_it_is_not_the_file_with_the_options_of_all_commands():
    """Each refuses what the other holds."""
    assert config_file("headend") not in (ROOT / "examples" / "systemd" / "headend.service").read_text()


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
    path = tmp_path / "service.toml"
    path.write_text(text)
    with pytest.raises(OperatorError, match=what):
        load_settings(path)
