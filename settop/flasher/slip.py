"""SLIP (RFC 1055), both ways, and telling frames from a console's text on the same line."""

__all__ = ["END", "SlipDecoder", "slip_encode"]

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


def slip_encode(frame: bytes) -> bytes:
    """Wrap a frame; an END also in front, so that line noise before it is a frame of its own."""
    escaped = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


class SlipDecoder:
    """Cuts a stream at END. What exceeds the limit or escapes wrongly comes out as it was, to be taken for noise."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the pieces between ENDs that are now complete, unescaped, none of them empty."""
        *ended, rest = data.split(b"\xc0")
        pieces = []
        for part in ended:
            self._pending += part
            pieces.append(self._unescape(bytes(self._pending)))
            self._pending.clear()
        self._pending += rest
        if len(self._pending) > 2 * self._limit_bytes:
            pieces.append(bytes(self._pending))
            self._pending.clear()
        return [piece for piece in pieces if piece]

    def take_pending(self) -> bytes:
        """Give away what has not ended yet: a console's text, which no END follows."""
        pending = bytes(self._pending)
        self._pending.clear()
        return pending

    @staticmethod
    def _unescape(part: bytes) -> bytes:
        return part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
