"""What was typed wrong is a usage error (exit code 2) of every command, and values with their units are read by all."""

import pytest
from typer.testing import CliRunner

from carousel.errors import UsageError
from headend.program import app
from tests.conftest import HARDWARE, KEY

ON_LO = ("--interface", "lo")
CTL = ("ctl", "--token-file", "token")
CREATE = (*CTL, "create", "lab", "--group", "239.255.77.1:5077", *ON_LO, "--rate")
PACK = ("pack", "image", "-o", "x.release", "--key", "lab.key", "--hardware", str(HARDWARE), "--version", "1.0.0")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image, a key and a token, and to be in."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    monkeypatch.chdir(tmp_path)
    (tmp_path / "image").write_bytes(b"image" * 1000)
    (tmp_path / "lab.key").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "token").write_text("a-token\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((*PACK, "--tsi", "x"), "TSI 'x' is no number"),
        ((*PACK, "--tsi", "0x1ffffffff"), "no 32-bit number"),
        ((*PACK, "--repair", "many"), "'--repair'"),
        ((*PACK, "--repair", "9"), "not between 0 and 4"),
        ((*PACK, "--symbol-size", "7"), "not a multiple of 8"),
        ((*PACK, "--symbol-size", "512", "--ssu"), "leave --symbol-size out"),
        ((*PACK, "--cmdline", "quiet"), "add --uki"),
        ((*PACK, "--name", "\n"), "can't be printed"),
        (("keygen", "x", "--bulletin", "--reports"), "one at a time"),
        (("cast", "x", *ON_LO, "--group", "10.0.0.1:5077"), "no multicast group"),
        (("cast", "x", *ON_LO, "--rate", "fast"), "is not a rate"),
        (("cast", "x", *ON_LO, "--announce-interval", "often"), "is not a time"),
        (("cast", "x", *ON_LO, "--announce-interval", "1ms"), "shorter than 10ms"),
        (("cast", "x", *ON_LO, "--ttl", "300"), "'--ttl'"),
        (("cast", "x", *ON_LO, "--ssu", "--pid", "x"), "PID 'x' is no number"),
        (("cast", "x", *ON_LO, "--ssu", "--pid", "9"), "is not between"),
        (("cast", "x", *ON_LO, "--bulletin-key", "lab.key"), "go together"),
        (("ts", "x", "-o", "x.ts", "--rate", "fast"), "is not a rate"),
        (("ts", "x", "-o", "x.ts", "--pid", "9"), "is not between"),
        (("rollout", "stage", "r.json", "0" * 32, "101%"), "no share of boxes"),
        (("rollout", "plan", "r.json", "0" * 32, "soon"), "no stage"),
        (("rollout", "gate", "r.json", "ajar"), "a gate is open, hold"),
        (("serve", "--data", "d", "--listen", "here"), "no address to listen at"),
        (("ctl", "--url", "here", "status"), "no address such as"),
        ((*CREATE, "fast"), "is not a rate"),
        ((*CREATE, "5M", "--announce-interval", "1ms"), "shorter than 10ms"),
        ((*CREATE, "5M", "--ssu", "--pid", "x"), "PID 'x' is no number"),
        ((*CTL, "stage", "x", "--percent", "101%"), "no share of boxes"),
        ((*CTL, "stage", "x"), "say either --percent"),
        ((*CTL, "rate", "lab", "5M", "--from", "1:00"), "both"),
    ],
    ids=" ".join,
)
def test_what_was_typed_wrong_is_a_usage_error(folder, words, sentence):
    found = CliRunner().invoke(app, list(words)).exception
    assert isinstance(found, UsageError), found
    assert sentence in str(found)


def test_a_file_that_holds_no_token_is_said(folder):
    for rubbish in (b"", b"-----BEGIN PUBLIC KEY-----\nx\n", b"\xff\xfe"):
        (folder / "token").write_bytes(rubbish)
        assert "token holds no token" in str(CliRunner().invoke(app, [*CTL, "status"]).exception)
