"""The serial port: pyserial, with its errors in sentences. Any of its URLs works: socket://, rfc2217://, a pty."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

from carousel.errors import OperatorError

__all__ = ["Port", "SerialPort", "list_ports"]


class Port(Protocol):
    """What the driver needs of a line."""

    def read(self, timeout_s: float) -> bytes:
        """Return what comes within the time, as soon as there is anything."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def set_baud(self, baud: int) -> None:
        """Change the rate, once all is sent."""


def _pyserial() -> ModuleType:
    """Import pyserial: an extra, which boxes that only listen to the carousel do without."""
    try:
        importlib.import_module("serial.tools.list_ports")
        return importlib.import_module("serial")
    except ImportError:
        raise OperatorError("this needs pyserial: pip install 'bootcast[flash]'") from None


class SerialPort:
    """A port by pyserial."""

    def __init__(self, port: Any, failure: type[OSError]) -> None:
        self._port = port
        self._failure = failure

    @classmethod
    @contextmanager
    def open(cls, url: str, baud: int) -> Iterator["SerialPort"]:
        """Open a port or a pyserial URL for the length of a with statement."""
        serial = _pyserial()
        try:
            port = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=None, exclusive=None)
        except serial.SerialException as error:
            raise OperatorError(f"{url} can't be opened: {_reason(error)}; `settop flash --list` shows ports") from None
        except ValueError:
            raise OperatorError(f"{url} is no port: /dev/ttyUSB0, socket://host:port or rfc2217://host:port") from None
        try:
            yield cls(port, serial.SerialException)
        finally:
            port.close()

    def read(self, timeout_s: float) -> bytes:
        """Return what comes within the time, as soon as there is anything."""
        with self._explained():
            self._port.timeout = max(0.0, timeout_s)
            first: bytes = self._port.read(1)
            if not first:
                return b""
            self._port.timeout = 0
            rest: bytes = self._port.read(max(4096, self._waiting()))
            return first + rest

    def _waiting(self) -> int:
        try:
            return int(self._port.in_waiting)
        except (AttributeError, OSError):
            return 0

    def write(self, data: bytes) -> None:
        """Send bytes."""
        with self._explained():
            self._port.write(data)

    def set_baud(self, baud: int) -> None:
        """Change the rate, once all is sent. A pseudo-terminal or a socket has none."""
        with self._explained():
            self._port.flush()
            self._port.baudrate = baud

    def pulse_reset(self, which: str, hold_s: float, sleep: Any) -> None:
        """Pull DTR or RTS, where a board's reset hangs on it; lines that a port lacks are borne."""
        try:
            setattr(self._port, which, True)
            sleep(hold_s)
            setattr(self._port, which, False)
        except OSError:
            raise OperatorError(f"this port has no {which.upper()} line; reset the board by hand") from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OperatorError(f"the line broke: {_reason(error)}; is the adapter still plugged in?") from None


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text.split(": ", 1)[-1].strip("'\"")


def list_ports() -> list[tuple[str, str]]:
    """Return the serial ports of this machine, with their description."""
    serial = _pyserial()
    return [(port.device, port.description) for port in sorted(serial.tools.list_ports.comports())]
