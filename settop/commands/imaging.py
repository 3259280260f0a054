"""`settop image`: a card for a board, or the receiver's initramfs."""

import argparse
from pathlib import Path

from carousel.console.files import load_public_key
from carousel.console.quantities import format_size_bytes
from carousel.errors import OperatorError
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing
from settop.image.boards import board_named
from settop.image.card import CardRequest, Factory, build_card, check_image, check_kernel, initramfs_of, kernel_of
from settop.store.factory import open_factory

__all__ = ["image"]


def image(arguments: argparse.Namespace) -> int:
    """Make it, and say what it holds and how large its parts are."""
    request = CardRequest(
        board=board_named(arguments.board, arguments.loader),
        hardware=str(arguments.hardware),
        group=str(arguments.group),
        interface=arguments.interface,
        timeout=f"{arguments.timeout:g}s",
        console=arguments.console,
        kernel=arguments.kernel,
        wheel=arguments.wheel,
        size_bytes=arguments.size,
        zstd_level=arguments.zstd_level,
    )
    if arguments.initramfs:
        initramfs, kernel, _ = initramfs_of(request)
        arguments.output.write_bytes(initramfs)
        print(f"{arguments.output}: {format_size_bytes(len(initramfs))}, for the kernel {kernel.name}")
        return 0
    if not arguments.trust or arguments.eeprom is None:
        raise OperatorError("a card needs --trust KEY.pub and --eeprom RELEASE; --initramfs needs neither")
    ring = TrustRing.of(map(load_public_key, arguments.trust))
    with open_factory(arguments.eeprom) as (header, chunks):
        _check(header, ring, arguments.hardware, arguments.eeprom)
        keys, bulletin_keys = _key_files(arguments.trust), _key_files(arguments.trust_bulletin or [])
        if set(keys.values()) & set(bulletin_keys.values()):
            raise OperatorError("a key that signs releases must not sign bulletins, too: that one is online")
        factory = Factory(header, b"".join(chunks), keys, bulletin_keys)
    check_image(request.board, memoryview(factory.image), f"the image of {arguments.eeprom}")
    _, kernel = kernel_of(request)
    check_kernel(request.board, kernel.read_bytes(), kernel.name)
    made = build_card(request, factory, arguments.output)
    print(
        f"{arguments.output}: a card of {format_size_bytes(made.card)} for {request.board.name}, started by "
        f"{request.board.loader}, images by {request.board.backend}\n"
        f"  receiver: kernel {format_size_bytes(made.kernel)}, initramfs {format_size_bytes(made.initramfs)}\n"
        f"  EEPROM image: {header.name} {header.version}, {format_size_bytes(header.image_size)}"
    )
    return 0


def _key_files(paths: list[Path]) -> dict[str, bytes]:
    """Return public keys by names that all differ; `OperatorError` if one is no key."""
    for path in paths:
        load_public_key(path)
    return {f"{number}-{path.name}": path.read_bytes() for number, path in enumerate(paths)}


def _check(header: SignedHeader, ring: TrustRing, hardware: Hardware, path: Path) -> None:
    if not ring.believes(header):
        raise OperatorError(f"{path} is signed by none of the keys given with --trust")
    if not hardware.accepts(header.hardware):
        raise OperatorError(f"{path} is made for other hardware than {hardware}")
