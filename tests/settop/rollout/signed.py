"""Bulletins for tests, signed by the test's keys."""

from carousel.bulletin import Bulletin, Stage, threshold_of
from carousel.gate import GateView
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from tests.conftest import KEY, OTHER_KEY

TRUST = TrustRing.of([OTHER_KEY.public_key()])
RELEASE = ReleaseId(b"r" * 16)
BOX = "serial-1"
ONLINE_KEY = OTHER_KEY
STRANGERS_KEY = KEY
NO_GATE = GateView()


def stage(share=1.0, release=RELEASE, salt=b"saltsalt", is_halted=False, why=""):
    return Stage(release, threshold_of(share), salt, is_halted, why)


def bulletin(epoch, *stages, issued=None, key=ONLINE_KEY, gate=NO_GATE, part=0, parts=1):
    return Bulletin(epoch, epoch if issued is None else issued, tuple(stages), gate, part, parts).sign(key)


def forged(raw, number=0):
    """The same with another signature, none that is good."""
    return raw[:-64] + number.to_bytes(64, "little")
