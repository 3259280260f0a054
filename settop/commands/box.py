"""Make a box's folder; confirm the image that it runs."""

from pathlib import Path

from carousel.release.identity import Hardware
from settop.commands.reporting import reporting
from settop.store.choice import Source
from settop.store.folder import BoxFolder

__all__ = ["confirm", "init"]


def init(store: Path, hardware: Hardware, trust: list[Path], eeprom: Path) -> int:
    """Make a box's folder, with the factory image in its EEPROM."""
    box = BoxFolder.init(store, hardware, trust, eeprom)
    header = box.store.header(Source.EEPROM)
    assert header is not None
    print(f"{store}: hardware {box.hardware}, {len(trust)} trusted key(s), EEPROM image {header.version}")
    return 0


def confirm(store: Path, as_json: bool) -> int:
    """Confirm the image on trial: it works, and is what boots from now on."""
    box = BoxFolder(store)
    with box.locked(), reporting(as_json, store) as reporter:
        source = box.store.confirm()
        active = Source.of_slot(box.store.record().active)
        reporter.tell("confirmed", source=(source or active).value)
    return 0
