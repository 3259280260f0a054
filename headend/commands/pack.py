"""`headend pack`."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.progress import Progress

from carousel.console.quantities import format_size_bytes
from carousel.errors import OperatorError, UsageError
from carousel.printable import printable
from carousel.release.header import NAME_BYTES, SignedHeader
from carousel.release.identity import Hardware, Version
from headend.commands.options import CAROUSEL, DEFAULT_TSI_TEXT, OUTPUT, SSU, option, parse_tsi
from headend.pack.keys import load_private_key
from headend.pack.packing import DEFAULT_SYMBOL_BYTES, PackRequest
from headend.pack.packing import pack as pack_release
from headend.pack.ssuplan import SsuProfile, advice
from headend.pack.uki import make_uki

__all__ = ["pack"]

IDENTITY = "Identity"
UKI = "Unified kernel image"
HARDWARE_TEXT = (
    "The boards it is for: your organisation's OUI (6 hex digits; a lab takes any, such as 00A1B2), a model number of "
    "yours, and the hardware version, by default any. A box takes what matches its own `settop init --hardware`."
)
VERSION_TEXT = "A box installs only a version newer than what it holds; numbers are compared one after the other."
COUNTER_TEXT = (
    "Boxes that confirmed an image refuse all with a lower counter, for good: raise it when an older image "
    "has a hole that nobody must go back to."
)


ImageArgument = Annotated[
    Path, typer.Argument(help="The boot image: a kernel, a UKI, a squashfs, anything.", metavar="IMAGE")
]
OutputOption = Annotated[
    Path, option("The release file to write.", "-o", "--output", group=OUTPUT, metavar="FILE.release")
]
KeyOption = Annotated[
    Path, option("The signing key: PREFIX.key of `headend keygen`.", group=IDENTITY, metavar="FILE.key")
]
HardwareOption = Annotated[str, option(HARDWARE_TEXT, group=IDENTITY, metavar="OUI:MODEL[:VERSION]")]
VersionOption = Annotated[str, option(VERSION_TEXT, group=IDENTITY, metavar="X.Y.Z")]
NameOption = Annotated[
    str, option("A name for people; by default the image's file name.", group=IDENTITY, metavar="TEXT")
]
CounterOption = Annotated[int, option(COUNTER_TEXT, group=IDENTITY, min=0, max=2**32 - 1, metavar="N")]
SymbolSizeOption = Annotated[
    int | None, option("Bytes of an encoding symbol; 1440 fits an MTU of 1500.", group=CAROUSEL, metavar="BYTES")
]
RepairOption = Annotated[
    float, option("Repair symbols for each source symbol; 0: no FEC.", group=CAROUSEL, metavar="RATIO")
]
TsiOption = Annotated[str, option("The session's TSI.", group=CAROUSEL, metavar="TSI")]
SsuOption = Annotated[bool, option("Cut it so that it goes out as DVB-SSU, too.", "--ssu", group=SSU)]
UkiOption = Annotated[bool, option("IMAGE is a kernel: make a unified kernel image (UKI) of it.", "--uki", group=UKI)]
InitrdOption = Annotated[list[Path] | None, option("Its initrd; several are joined.", group=UKI, metavar="FILE")]
CmdlineOption = Annotated[str, option("The kernel's command line.", group=UKI, metavar="WORDS")]
StubOption = Annotated[
    Path | None, option("systemd's EFI stub, where it is not in Debian's place.", group=UKI, metavar="FILE")
]
ProfileOption = Annotated[SsuProfile, option("few-modules is for loaders that have room for eight.", group=SSU)]


def pack(
    image: ImageArgument,
    output: OutputOption,
    key: KeyOption,
    hardware: HardwareOption,
    version: VersionOption,
    name: NameOption = "",
    security_counter: CounterOption = 0,
    symbol_size: SymbolSizeOption = None,
    repair: RepairOption = 1.0,
    tsi: TsiOption = DEFAULT_TSI_TEXT,
    ssu: SsuOption = False,
    profile: ProfileOption = SsuProfile.STANDARD,
    uki: UkiOption = False,
    initrd: InitrdOption = None,
    cmdline: CmdlineOption = "",
    stub: StubOption = None,
) -> None:
    """Turn a boot image into a release file: signed, with repair symbols, every packet rendered."""
    if ssu and symbol_size is not None:
        raise UsageError("with --ssu the image's size says the symbol size; leave --symbol-size out")
    request = PackRequest(
        hardware=Hardware.parse(hardware),
        version=Version.parse(version),
        created_unix_s=int(time.time()),
        name=_name(name or image.name, bool(name)),
        security_counter=security_counter,
        symbol_size=symbol_size or DEFAULT_SYMBOL_BYTES,
        repair_ratio=repair,
        tsi=parse_tsi(tsi),
        ssu_profile=profile if ssu else None,
    )
    private = load_private_key(key)
    if not uki and (initrd or cmdline or stub):
        raise UsageError("--initrd, --cmdline and --stub are parts of a unified kernel image; add --uki")
    began_s = time.monotonic()
    with _as_image(image, make_uki(image, initrd or [], cmdline, stub) if uki else None) as source:
        header = _pack_with_progress(source, output, private, request)
    size = format_size_bytes(header.image_size)
    print(
        f"{printable(str(output))}: {header.name} {header.version} for {header.hardware}, {size} in "
        f"{header.source_blocks} block(s), {header.repair_per_block} repair symbols each, "
        f"{time.monotonic() - began_s:.1f} s"
    )
    for note in advice(header, repair) if ssu else ():
        print(f"note: {note}")


def _name(text: str, is_given: bool) -> str:
    """Return the name for people: as given, or what of a file's name can be printed and fits."""
    if not is_given:
        return printable(text).encode()[:NAME_BYTES].decode(errors="ignore")
    if not text.isprintable():
        raise UsageError(f"--name {text!r} holds what can't be printed; take letters, digits, spaces")
    if len(text.encode()) > NAME_BYTES:
        raise UsageError(f"--name {text!r} is longer than {NAME_BYTES} bytes of UTF-8; take a shorter one")
    return text


def _pack_with_progress(image: Path, output: Path, private: Ed25519PrivateKey, request: PackRequest) -> SignedHeader:
    if image.exists() and not image.is_file():
        raise OperatorError(f"{image} is no regular file; the size of an image must be known before it is packed")
    with Progress(disable=not sys.stdout.isatty(), transient=True) as progress:
        task = progress.add_task("packing", total=image.stat().st_size)
        return pack_release(image, output, private, request, lambda done: progress.update(task, completed=done))


@contextmanager
def _as_image(image: Path, content: bytes | None) -> Iterator[Path]:
    """Give the path of the image: the file named, or one that holds the content that was made of it."""
    if content is None:
        yield image
        return
    with tempfile.NamedTemporaryFile(prefix="uki-") as file:
        file.write(content)
        file.flush()
        yield Path(file.name)
