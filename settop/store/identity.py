"""What a box is and whom it trusts, read so that one damaged file keeps no box from booting."""

import json
from dataclasses import dataclass
from pathlib import Path

from carousel.console.files import load_public_key, read_small_file
from carousel.errors import FormatError, OperatorError
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing

__all__ = ["CONFIG", "TRUST", "Identity", "read_identity"]

CONFIG = "box.json"
TRUST = "trust"
_LARGEST_CONFIG = 1 << 16


@dataclass(frozen=True)
class Identity:
    """`troubles` are sentences about what could not be read; `is_guess` where the hardware is the EEPROM image's."""

    hardware: Hardware
    trust: TrustRing
    troubles: tuple[str, ...] = ()
    is_guess: bool = False


def read_identity(folder: Path) -> Identity:
    """Read a box's folder; `OperatorError` if it is none, or nothing says what the box is."""
    trust, troubles = _read_trust(folder)
    try:
        return Identity(_read_hardware(folder), trust, troubles)
    except OperatorError as error:
        hardware = _hardware_of_eeprom(folder, trust)
        if hardware is None:
            raise
        guess = f"{error}; until then the box takes itself for {hardware}, as its EEPROM image says"
        return Identity(hardware, trust, (guess, *troubles), is_guess=True)


def _read_hardware(folder: Path) -> Hardware:
    try:
        config = json.loads(read_small_file(folder / CONFIG, _LARGEST_CONFIG))
        return Hardware.parse(config["hardware"])
    except FileNotFoundError:
        raise OperatorError(f"{folder} is no store of a box; `settop init --store {folder} ...` makes one") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OperatorError):
        raise OperatorError(f'{folder / CONFIG} is damaged; it should be {{"hardware": "OUI:model"}}') from None


def _read_trust(folder: Path) -> tuple[TrustRing, tuple[str, ...]]:
    keys, troubles = [], []
    for path in sorted((folder / TRUST).glob("*.pub")):
        try:
            keys.append(load_public_key(path))
        except (OperatorError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            troubles.append(f"{path} is passed over: {reason}")
    return TrustRing.of(keys), tuple(troubles)


def _hardware_of_eeprom(folder: Path, trust: TrustRing) -> Hardware | None:
    """Return what the factory image was made for, which `init` compared with the box."""
    try:
        header = SignedHeader.parse(read_small_file(folder / "eeprom.header", _LARGEST_CONFIG))
    except (OSError, FormatError):
        return None
    return header.hardware if trust.believes(header) else None
