import hashlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, Phase, settings

from carousel.flute.releasefile import Release
from carousel.release.header import ReleaseHeader, SignedHeader
from carousel.release.identity import Hardware, Version
from carousel.release.trust import TrustRing
from headend.pack.packing import PackRequest, pack
from settop.stitch.policy import BoxProfile

# Tests start hundreds of programs: without bytecode each would compile itself anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("busy machine", deadline=None)
settings.register_profile("emulated processor", deadline=None, max_examples=10)
settings.register_profile(
    "mutants",
    deadline=None,
    max_examples=40,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("busy machine")

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
HARDWARE = Hardware(0x00A1B2, 7)


def noise(size: int, seed: str = "") -> bytes:
    """Bytes without pattern, the same every time."""
    return hashlib.shake_128(f"{seed}/{size}".encode()).digest(size)


def unsigned(header: SignedHeader, **fields: object) -> ReleaseHeader:
    """What a header says, to be changed and signed anew."""
    said = {name: said for name, said in header.fields().items() if name not in ("key_id", "raw")}
    return ReleaseHeader(**said | fields)


MakeRelease = Callable[..., Release]


@pytest.fixture(scope="session")
def make_release(tmp_path_factory: pytest.TempPathFactory) -> MakeRelease:
    """Pack a release: image bytes (or a size) and fields of the request; the same arguments pack once."""
    packed: dict[tuple, Release] = {}

    def make(image: bytes | int, key: Ed25519PrivateKey = KEY, version: str = "1.4.0", **fields: object) -> Release:
        content = noise(image) if isinstance(image, int) else image
        key_bytes = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        mark = (content, key_bytes, version, tuple(sorted(fields.items())))
        if mark not in packed:
            folder = tmp_path_factory.mktemp("release")
            (folder / "image").write_bytes(content)
            request = PackRequest(
                **{"hardware": HARDWARE, "version": Version.parse(version), "created_unix_s": 1_750_000_000, **fields}
            )
            pack(folder / "image", folder / "release", key, request)
            packed[mark] = Release.parse(memoryview((folder / "release").read_bytes()))
        return packed[mark]

    return make


@pytest.fixture
def profile() -> BoxProfile:
    return BoxProfile(HARDWARE, TrustRing.of([KEY.public_key()]))


@pytest.fixture
def release_file(tmp_path: Path) -> Callable[[Release, str], Path]:
    def write(release: Release, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(release.buffer)
        return path

    return write


LACKING = {
    "cards": lambda: missing("mformat", "mcopy", "mke2fs"),
    "vm": lambda: missing("qemu-system-aarch64", "mmdebstrap", "mformat", "zstd") or missing_files(*LOADERS),
    "tshark": lambda: missing("tshark"),
    "dvb": lambda: missing("tshark", "dvbinfo", "ffprobe", "gst-launch-1.0"),
    "browser": lambda: missing("chromium") or ("" if find_spec("playwright") else "the package playwright"),
    "systemd": lambda: missing("systemd-analyze"),
    "promtool": lambda: missing("promtool"),
    "stub": lambda: missing("cc", "make"),
    "fuzz": lambda: missing("clang", "make"),
    "oracle": lambda: "" if find_spec("raptorq") else "the package raptorq",
    "emulator": lambda: missing("make", "arm-none-eabi-gcc", "qemu-system-arm"),
    "namespaces": lambda: missing("ip", "nft", "tc", "curl") or ("root" if os.geteuid() else ""),
}
"""Markers whose tests need more than Python: what of it is not here. Nothing may be missing in .ci/run."""


LOADERS = ("/usr/lib/u-boot/qemu_arm64/u-boot.bin", "/usr/share/AAVMF/AAVMF_CODE.fd", "/sbin/fsck.vfat")


def missing_files(*paths: str) -> str:
    return ", ".join(path for path in paths if not Path(path).exists())


def missing(*programs: str) -> str:
    return ", ".join(program for program in programs if shutil.which(program) is None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, and say so, what this machine lacks the programs for; begin with what takes long."""
    lacking = {marker: find() for marker, find in LACKING.items()}
    for item in items:
        for marker, what in lacking.items():
            if what and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"needs {what}"))
    items[:] = dealt(items, getattr(config, "workerinput", {}).get("workercount", 1))


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Put long tests first in what each worker is dealt (`--dist worksteal`): begun last, they are waited for."""
    others = [item for item in items if not item.get_closest_marker("long")]
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("long"):
            files.setdefault(item.path, []).append(item)  # who makes something for a file makes it once
    long, hand = list(files.values()), -(-len(others) // workers)
    hands = ((*chain(*long[at::workers]), *others[at * hand : (at + 1) * hand]) for at in range(workers))
    return list(chain(*hands))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much the simulations tried: counts that tests record, summed over all of them."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        counts.update({name: count for name, count in report.user_properties if isinstance(count, int)})
    for name, count in sorted(counts.items()):
        terminalreporter.write_line(f"{name}: {count:,}")


@pytest.fixture(scope="module")
def browser():
    """A real browser, headless: for pages that one points at and clicks on."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield opened
        opened.close()
