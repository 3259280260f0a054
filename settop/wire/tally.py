"""Why packets brought nothing: reasons by name, counted."""

from collections import Counter
from enum import StrEnum

from settop.stitch.seam import WireStats

__all__ = ["Reason", "Tally"]


class Reason(StrEnum):
    """What became of a packet that brought no symbol; users see these names in `rejected`."""

    CORRUPT = "crc"
    DUPLICATE = "duplicates"
    IGNORED = "ignored"
    OUT_OF_RANGE = "out_of_range"
    NO_ROOM = "no_room"
    EARLY = "early"
    """Kept until its release is announced."""
    EARLY_DROPPED = "early_dropped"
    REFUSED_RELEASE = "refused_release"
    """Of a release that was announced, and that this box does not collect."""
    TSI = "tsi"
    FDT = "fdt"
    BULLETIN_DROPPED = "bulletin_dropped"
    CLOSE_FLAG = "close_flag"
    """Counted, never obeyed."""
    NO_CRC = "no_crc"
    TOI = "toi"
    CODEPOINT = "codepoint"
    SYMBOL_SIZE = "symbol_size"
    ODD_DROPPED = "odd_dropped"
    """Beyond what the slow way takes a second."""
    TRUNCATED = "truncated"
    VERSION = "version"
    HEADER_LENGTH = "header_length"
    EXTENSION_LENGTH = "extension_length"
    HEADER_TOI = "header_toi"
    """A header's TOI that does not follow from the header."""
    HEADER_SIZE = "header_size"
    HEADER_FIELDS = "header_fields"
    HEADER_CRC = "header_crc"
    HEADER_REPEATED = "header_repeated"
    HEADER_POSTPONED = "header_postponed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"


MAX_UNKNOWN_KEYS = 3
NO_REJECTION = {Reason.DUPLICATE, Reason.IGNORED}


class Tally:
    """Counts reasons."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()
        self._unknown_keys: dict[str, None] = {}

    def count(self, reason: Reason, packets: int = 1) -> None:
        """Count packets under a reason."""
        if packets:
            self._counts[reason] += packets

    def claim(self, key_id: bytes) -> None:
        """Remember a key that a header claims to be signed by; the first few of them."""
        if len(self._unknown_keys) < MAX_UNKNOWN_KEYS:
            self._unknown_keys[key_id.hex()] = None

    def stats(self) -> WireStats:
        """Return what was counted so far."""
        return WireStats(
            corrupt=self._counts[Reason.CORRUPT],
            duplicates=self._counts[Reason.DUPLICATE],
            ignored=self._counts[Reason.IGNORED],
            rejected=tuple((reason.value, self._counts[reason]) for reason in Reason if self._is_rejection(reason)),
            unknown_keys=tuple(self._unknown_keys),
        )

    def _is_rejection(self, reason: Reason) -> bool:
        return reason not in NO_REJECTION and self._counts[reason] > 0
