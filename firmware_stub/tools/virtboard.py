"""The QEMU `virt` board: its two flash files, the machine, its serial line and its reset button."""

import json
import os
import shutil
import socket
import subprocess
import threading
import tomllib
from pathlib import Path
from typing import Any

PORT = Path(__file__).parents[1] / "ports" / "qemu"
QEMU = "qemu-system-arm"
TURN_EVERY_S = 0.02
BOARD = tomllib.loads((PORT / "board.toml").read_text())
BANK_BYTES: int = BOARD["flash"]["bank_bytes"]
SECTOR_BYTES: int = BOARD["flash"]["sector_bytes"]


class VirtBoard:
    """A board in a folder: `bank0.flash` holds the stub, `bank1.flash` all else. Power on, reset, power off."""

    def __init__(self, folder: Path) -> None:
        if shutil.which(QEMU) is None:
            raise FileNotFoundError(f"{QEMU} is not installed; on Debian: apt install qemu-system-arm")
        self.folder = folder
        self.banks = [folder / "bank0.flash", folder / "bank1.flash"]
        self.process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ordering = threading.Lock()

    @property
    def is_new(self) -> bool:
        """Say whether there is no such board yet."""
        return not self.banks[0].exists()

    def make(self, stub: bytes) -> None:
        """Make a new board: erased, but for its stub."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for bank in self.banks:
            with bank.open("wb") as file:
                file.truncate(BANK_BYTES)
        self.write("stub", 0, stub.ljust(SECTOR_BYTES, b"\xff"))
        for name in ("records", "eeprom", "slot_a", "slot_b"):
            self.write(name, 0, b"\xff" * BOARD["map"][name]["size"])

    def _place(self, name: str, offset: int) -> tuple[Path, int]:
        address = BOARD["map"][name]["offset"] + offset
        return self.banks[address // BANK_BYTES], address % BANK_BYTES

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Write into a region of the flash while the board is off, as a programmer would."""
        bank, at = self._place(name, offset)
        with bank.open("r+b") as file:
            file.seek(at)
            file.write(content)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Read a region of the flash."""
        bank, at = self._place(name, offset)
        with bank.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def write_image(self, name: str, header: bytes, image: bytes) -> None:
        """Put an image into a slot or the EEPROM: header sector, then the image."""
        self.write(name, 0, header)
        self.write(name, SECTOR_BYTES, image)

    # --- power -------------------------------------------------------------------------------------------

    def power_on(self, serial_port: int, extra: tuple[str, ...] = ()) -> None:
        """Start QEMU, halted, its serial line at a TCP port of 127.0.0.1; `go` lets it run."""
        control = self.folder / "control"
        control.unlink(missing_ok=True)
        drives = [f"if=pflash,unit={unit},format=raw,file={bank}" for unit, bank in enumerate(self.banks)]
        command = [QEMU, "-M", "virt", "-cpu", "cortex-a15", "-m", "128", "-display", "none", "-S", "-nodefaults"]
        command += ["-drive", drives[0], "-drive", drives[1], *extra]
        command += ["-serial", f"tcp:127.0.0.1:{serial_port},server=on,wait=off"]
        command += ["-qmp", f"unix:{control},server=on,wait=off"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._control = self._connect(control)
        self._order("qmp_capabilities")
        threading.Thread(target=self._keep_turning, daemon=True).start()

    def _keep_turning(self) -> None:
        """Ask QEMU something now and then.

        On a busy machine QEMU 7.2 can miss that the UART has room again, and leaves bytes in its socket for ever;
        any order makes its main loop look.
        """
        process = self.process
        while process is not None and process is self.process:
            try:
                self._order("query-status")
                process.wait(TURN_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            except (OSError, AssertionError):
                return

    def _connect(self, path: Path) -> socket.socket:
        assert self.process is not None
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(10.0)
        for _ in range(1000):
            if self.process.poll() is not None:
                raise RuntimeError(f"{QEMU} ended with status {self.process.returncode}")
            try:
                # a Unix socket's path is short; the folder's may be long
                descriptor = os.open(path.parent, os.O_PATH)
                try:
                    control.connect(f"/proc/self/fd/{descriptor}/{path.name}")
                finally:
                    os.close(descriptor)
                return control
            except OSError:
                try:
                    self.process.wait(0.01)
                except subprocess.TimeoutExpired:
                    continue
        raise RuntimeError(f"{QEMU} does not open its control socket")

    def _order(self, command: str) -> Any:
        with self._ordering:
            return self._order_alone(command)

    def _order_alone(self, command: str) -> Any:
        assert self._control is not None
        self._control.sendall(json.dumps({"execute": command}).encode())
        answer = b""
        while True:
            heard = self._control.recv(65536)
            if not heard:
                raise ConnectionError(f"{QEMU} has ended")
            answer += heard
            for line in answer.splitlines():
                if line.startswith(b'{"return"') and line.endswith(b"}"):
                    return json.loads(line)["return"]

    def go(self) -> None:
        """Let a halted board run."""
        self._order("cont")

    def reset(self) -> None:
        """Press the reset button: the flash keeps what it holds."""
        self._order("system_reset")

    def kill(self) -> None:
        """Pull the plug."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self._control is not None:
            self._control.close()
        self.process = self._control = None
