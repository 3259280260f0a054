"""What a box is and whom it trusts, read so that one damaged file keeps no box from booting."""

import json
from pathlib import Path

from carousel.console.files import load_public_key, read_small_file
from carousel.errors import FormatError, OperatorError
from carousel.frozen import Frozen
from carousel.release.header import SignedHeader
from carousel.release.identity import Hardware
from carousel.release.trust import TrustRing

__all__ = ["BULLETIN_TRUST", "CONFIG", "TRUST", "Identity", "read_identity"]

CONFIG = "box.json"
TRUST = "trust"
BULLETIN_TRUST = "trust-bulletin"
"""Keys that are believed when they sign bulletins, and nothing else."""


class Identity(Frozen):
    """`troubles` are sentences about what could not be read; `is_guess` where the hardware is the EEPROM image's."""

    hardware: Hardware
    trust: TrustRing
    troubles: tuple[str, ...] = ()
    is_guess: bool = False
    box_id: str = ""
    """The box's own name; empty where it has none."""
    bulletin_trust: TrustRing = TrustRing()
    reports_to: tuple[str, ...] = ()
    """Addresses and networks that this box may report to."""


def read_identity(folder: Path) -> Identity:
    """Read a box's folder; `OperatorError` if it is none, or nothing says what the box is."""
    trust, troubles = _read_trust(folder / TRUST)
    bulletin_trust, more_troubles = _read_trust(folder / BULLETIN_TRUST)
    troubles += more_troubles
    try:
        hardware, box_id, reports_to = _read_config(folder)
        return Identity(hardware, trust, troubles, False, box_id, bulletin_trust, reports_to)
    except OperatorError as error:
        guessed = _hardware_of_eeprom(folder, trust)
        if guessed is None:
            raise
        guess = f"{error}; until then the box takes itself for {guessed}, as its EEPROM image says"
        return Identity(guessed, trust, (guess, *troubles), is_guess=True, bulletin_trust=bulletin_trust)


def _read_config(folder: Path) -> tuple[Hardware, str, tuple[str, ...]]:
    try:
        config = json.loads(read_small_file(folder / CONFIG))
        reports_to, own_id = tuple(map(str, config.get("reports_to", ()))), str(config.get("id", ""))
        own_id.encode()  # half a surrogate pair is valid JSON, and no text
        return Hardware.parse(config["hardware"]), own_id, reports_to
    except FileNotFoundError:
        raise OperatorError(f"{folder} is no store of a box; `settop init --store {folder} ...` makes one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OperatorError):
        raise OperatorError(f'{folder / CONFIG} is damaged; it should be {{"hardware": "OUI:model"}}') from None


def _read_trust(folder: Path) -> tuple[TrustRing, tuple[str, ...]]:
    keys, troubles = [], []
    for path in sorted(folder.glob("*.pub")):
        try:
            keys.append(load_public_key(path))
        except (OperatorError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            troubles.append(f"{path} is passed over: {reason}")
    return TrustRing.of(keys), tuple(troubles)


def _hardware_of_eeprom(folder: Path, trust: TrustRing) -> Hardware | None:
    """Return what the factory image was made for, which `init` compared with the box."""
    try:
        header = SignedHeader.parse(read_small_file(folder / "eeprom.header"))
    except (OSError, FormatError):
        return None
    return header.hardware if trust.believes(header) else None
