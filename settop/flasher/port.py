"""The serial port: pyserial, with its errors in sentences. Any of its URLs works: socket://, rfc2217://, a pty."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any, Protocol

from carousel.errors import OperatorError
from settop.flasher.claim import LineClaim
from settop.flasher.line import ResetLine

__all__ = ["Port", "SerialPort", "list_ports"]

MOST_BYTES = 4096


class Port(Protocol):
    """What the driver needs of a line."""

    def read(self, timeout_s: float) -> bytes:
        """Return what comes within the time, as soon as there is anything."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def set_baud(self, baud: int) -> None:
        """Change the rate, once all is sent."""

    def pull(self, line: ResetLine | None) -> None:
        """Pull a control line; None: let both go."""


def _pyserial() -> ModuleType:
    """Import pyserial: an extra, which boxes that only listen to the carousel do without."""
    try:
        importlib.import_module("serial.tools.list_ports")
        return importlib.import_module("serial")
    except ImportError:
        raise OperatorError("this needs pyserial: pip install 'bootcast[flash]', or '.[flash]' in a checkout") from None


class SerialPort:
    """A port by pyserial."""

    def __init__(self, url: str, port: Any) -> None:
        self.url = url
        self._port = port
        self.claim = _claim_on(port)
        """Who has the line, where it is a device of this machine."""

    @classmethod
    @contextmanager
    def open(cls, url: str, baud: int, raise_lines: bool = False) -> Iterator["SerialPort"]:
        """Open a port or a pyserial URL for the length of a with statement.

        DTR and RTS are let go, since a board's reset may hang on either, unless `raise_lines`: some adapters pass
        nothing on before a terminal program has raised them.
        """
        serial = _pyserial()
        try:
            port = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=None, do_not_open=True)
            port.dtr = port.rts = raise_lines
            port.open()
        except OSError as error:
            raise OperatorError(f"{url} can't be opened: {_reason(error)}; `settop flash --list` shows ports") from None
        except ValueError:
            raise OperatorError(f"{url} is no port: /dev/ttyUSB0, socket://host:port or rfc2217://host:port") from None
        try:
            yield cls(url, port)
        finally:
            port.close()

    def read(self, timeout_s: float) -> bytes:
        """Return what comes within the time, as soon as there is anything."""
        with self._explained():
            self._port.timeout = max(0.0, timeout_s)
            first: bytes = self._port.read(1)
            if not first:
                return b""
            return first + self._read_rest()

    def _read_rest(self) -> bytes:
        """Return what has come already: RFC 2217 knows how much that is, the others give it without a wait."""
        is_counted = self.url.startswith("rfc2217:")
        self._port.timeout = None if is_counted else 0
        rest: bytes = self._port.read(self._port.in_waiting if is_counted else MOST_BYTES)
        return rest

    def write(self, data: bytes) -> None:
        """Send bytes."""
        with self._explained():
            self._port.write(data)

    def set_baud(self, baud: int) -> None:
        """Change the rate, once all is sent. A pseudo-terminal or a socket has none."""
        with self._explained():
            self._port.flush()
            self._port.baudrate = baud

    @property
    def has_control_lines(self) -> bool:
        """Say whether DTR and RTS can be pulled here: a socket and a pseudo-terminal have none."""
        if self.url.startswith("socket:"):
            return False
        try:
            self._port.rts = self._port.rts
        except (OSError, ValueError):
            return False
        return True

    def pull(self, line: ResetLine | None) -> None:
        """Pull a control line; None: let both go."""
        with self._explained():
            self._port.rts = line is ResetLine.RTS
            self._port.dtr = line is ResetLine.DTR

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OperatorError(f"the line broke: {_reason(error)}; is the adapter still plugged in?") from None


def _claim_on(port: Any) -> LineClaim | None:
    with suppress(AttributeError, OSError, ValueError):
        descriptor: int = port.fileno()
        if os.isatty(descriptor):
            return LineClaim(descriptor)
    return None


def _reason(error: BaseException) -> str:
    """Say why in the system's words; pyserial wraps them, and its own repeat the port's name in quotes."""
    cause: BaseException | None = error
    while cause is not None:
        match cause.args:
            case (int(number), *_) if number > 0:
                return os.strerror(number).lower()
            case (int(), str(text), *_):  # the resolver's numbers are its own
                return text.lower()
        cause = cause.__cause__ or cause.__context__
    return str(error).lower()


def list_ports() -> list[tuple[str, str]]:
    """Return the serial ports of this machine, with their description."""
    serial = _pyserial()
    return [(port.device, port.description) for port in sorted(serial.tools.list_ports.comports())]
