"""What was typed wrong is a usage error (exit code 2) of every command of `bootbench`."""

import pytest
from typer.testing import CliRunner

from bench.cli import app
from carousel.errors import UsageError

LINK = ("link", "--from", "239.255.77.1:5077", "--to", "127.0.0.1:6001")
ON_LO = ("--group", "239.255.77.9:5", "--interface", "lo")
FLEET = ("fleet", "neighbourhood")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("link",), "which carousel?"),
        (("link", "--from", "here", "--to", "127.0.0.1:6001"), "is not of the form"),
        (("link", "--from", "239.255.77.1:5077", "--to", "there"), "is not of the form"),
        ((*LINK, "--down", "rate=fast"), "is not a rate"),
        ((*LINK, "--profile", "string"), "no profile"),
        ((*LINK, "--seconds", "long"), "is not a time"),
        (("sniff",), "say where to listen"),
        (("sniff", *ON_LO, "--seconds", "long"), "is not a time"),
        (("capture", "x.pcap", *ON_LO, "--seconds", "long"), "is not a time"),
        (("replay", "x.pcap", *ON_LO, "--speed", "fast"), "'--speed'"),
        (("peers", "--boxes", "many"), "no list of numbers"),
        (("peers", "--only", "pigeons"), "no tool"),
        (("peers", "--table", "round"), "no table"),
        (("codec", "--sizes", "large"), "is not a whole number"),
        (("siege", "--rate", "fast"), "is not a rate"),
        (("siege", "--only", "nothing"), "no attack has"),
        (("fleet",), "which scenario?"),
        ((*FLEET, "--boxes", "many"), "is not a whole number"),
        ((*FLEET, "--fidelity", "high"), "is neither"),
        ((*FLEET, "--strategy", "hope"), "has no strategy"),
        ((*FLEET, "--fail-if", "slow"), "is not such as"),
        ((*FLEET, "--fail-if", "never > 1s"), "is a share"),
        (("tornado", "neighbourhood", "--share", "all"), "is not a share"),
        (("tornado", "neighbourhood", "--share", "95%"), "up to 0.9"),
        (("plan", "--image-size", "huge", "--deadline", "60s"), "is not a size"),
        (("live", "neighbourhood"), "missing option"),
    ],
    ids=" ".join,
)
def test_what_was_typed_wrong_is_a_usage_error(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, list(words)).exception
    assert isinstance(found, UsageError), found
    assert sentence in str(found).lower()
