"""A stub binary, as `make -C firmware_stub` builds it: it says behind its vectors what it is and for whom."""

from construct import ConstructError

from carousel.errors import OperatorError
from carousel.release.identity import Hardware
from settop.flasher.flasher import StubImage
from settop.flasher.frames import STUB_HEAD_OFFSET, StubHead

__all__ = ["parse_stub"]


def parse_stub(content: bytes, name: str) -> StubImage:
    """Read a stub binary; `OperatorError` if it is none, or not whole."""
    try:
        head = StubHead.parse(content[STUB_HEAD_OFFSET:])
    except ConstructError:
        raise OperatorError(f"{name} is no boot stub; `make -C firmware_stub qemu` builds one") from None
    if head.size != len(content):
        raise OperatorError(f"{name} is cut short: it has {len(content):,} of {head.size:,} bytes; build it again")
    return StubImage(content, Hardware(head.hardware_oui, head.hardware_model, head.hardware_version), head.version)
