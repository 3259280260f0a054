"""An emulated board's serial line, served by RFC 2217 as terminal servers do, at the rate that the caller asks for.

The newest caller has the line, and the console of `make board` gives way to it. RTS is the board's reset button.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from serial import rfc2217

from settop.flasher.frames import INITIAL_BAUD

__all__ = ["LineServer"]

MOST_BYTES = 4096
MOST_WAITING_BYTES = 1 << 16
LONGEST_SLICE_S = 0.1


class EmulatedPort:
    """The port that RFC 2217 speaks of: what a caller may set, and what the board does about it."""

    def __init__(self, reset: Callable[[], None]) -> None:
        self.baudrate = INITIAL_BAUD
        self.bytesize, self.parity, self.stopbits = 8, "N", 1
        self.xonxoff = self.rtscts = self.dtr = self.break_condition = False
        self.cts = self.dsr = self.ri = self.cd = False
        self._reset = reset
        self._rts = False

    @property
    def rts(self) -> bool:
        """Whether the caller pulls RTS: the board resets as it does so."""
        return self._rts

    @rts.setter
    def rts(self, is_pulled: bool) -> None:
        if is_pulled and not self._rts:
            self._reset()
        self._rts = is_pulled

    def reset_input_buffer(self) -> None:
        """Do nothing: what the board has said is on its way."""

    def reset_output_buffer(self) -> None:
        """Do nothing."""


class _Caller:
    """A connection that has the line."""

    def __init__(self, connection: socket.socket, reset: Callable[[], None]) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.port = EmulatedPort(reset)
        self._manager = rfc2217.PortManager(self.port, self)

    def write(self, data: bytes) -> None:
        """Send what the protocol has to say."""
        self.connection.sendall(data)

    def show(self, data: bytes) -> None:
        """Send what the board says."""
        self.connection.sendall(data.replace(b"\xff", b"\xff\xff"))

    def read(self) -> bytes | None:
        """Return what is meant for the board, having answered what is not; None when the caller has hung up."""
        try:
            heard = self.connection.recv(MOST_BYTES)
            return b"".join(self._manager.filter(heard)) if heard else None
        except OSError:
            return None


class LineServer:
    """Between a board's line and whoever has it. Whoever runs it selects on `sockets` and calls `serve`."""

    def __init__(self, board: socket.socket, tcp_port: int, reset: Callable[[], None]) -> None:
        self._board, self._reset = board, reset
        self._listener = socket.create_server(("127.0.0.1", tcp_port))
        self._caller: _Caller | None = None
        self._to_board = bytearray()
        self._now_s = 0.0

    @property
    def url(self) -> str:
        """What `--port` takes."""
        return f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def is_taken(self) -> bool:
        """Say whether a caller has the line."""
        return self._caller is not None

    @property
    def sockets(self) -> list[socket.socket]:
        """What may have something to read; a caller ahead of the line's rate is left waiting."""
        always = [self._listener, self._board]
        if self._caller is None or len(self._to_board) >= MOST_WAITING_BYTES:
            return always
        return [*always, self._caller.connection]

    def serve(self, ready: Sequence[object], now_s: float) -> bytes:
        """Move what is ready; return what the board says if no caller has the line.

        `ConnectionError` when the board's process has ended.
        """
        if self._listener in ready:
            self._take_call()
        elif self._caller is not None and self._caller.connection in ready:
            self._hear_caller()
        self._pace(now_s)
        said = self._board.recv(MOST_BYTES) if self._board in ready else b""
        if self._board in ready and not said:
            raise ConnectionError("the emulated board has ended")
        if self._caller is None:
            return said
        try:
            self._caller.show(said)
        except OSError:
            self._hang_up()
        return b""

    def type(self, keys: bytes) -> None:
        """Send what is typed at the console, while no caller has the line."""
        if not self.is_taken:
            self._to_board += keys

    def close(self) -> None:
        """Let all go."""
        self._hang_up()
        self._listener.close()
        self._board.close()

    def _take_call(self) -> None:
        self._hang_up()
        connection, _ = self._listener.accept()
        with suppress(OSError):  # one that hangs up at once
            self._caller = _Caller(connection, self._reset)

    def _hear_caller(self) -> None:
        assert self._caller is not None
        heard = self._caller.read()
        if heard is None:
            self._hang_up()
        else:
            self._to_board += heard

    def _hang_up(self) -> None:
        if self._caller is not None:
            self._caller.connection.close()
        self._caller = None

    def _pace(self, now_s: float) -> None:
        """Let so much through to the board as the line carries in the time since before."""
        baud = self._caller.port.baudrate if self._caller is not None else INITIAL_BAUD
        slice_s = min(LONGEST_SLICE_S, now_s - self._now_s)
        count = min(len(self._to_board), int(slice_s * baud / 10))
        if count or not self._to_board:
            self._now_s = now_s
        if count:
            self._board.sendall(self._to_board[:count])
            del self._to_board[:count]
