"""The real loader, a process on a pseudo-terminal, behind a line that hurts; the flasher through pyserial."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.virtual.serialline import Faults
from carousel.errors import OperatorError
from settop.flasher.driver import drive
from settop.flasher.errors import FlashError
from settop.flasher.flasher import Image, Job
from settop.flasher.port import SerialPort
from tests.firmware_stub.ports.host.hurtline import HurtLine
from tests.firmware_stub.stubhost import build, header_of, image_of

pytestmark = pytest.mark.stub

TRANSFERS = 250
AT_ONCE = 12


class Listener:
    def __init__(self):
        self.events = []

    def tell(self, event):
        self.events.append(event)

    def names(self):
        return [event.event for event in self.events]


@pytest.fixture(scope="module", autouse=True)
def built():
    build()


def transfer(line, job, cut_after_s=None):
    """Flash through the line, pumping it; return what was told, and the error if there was one."""
    listener, stop = Listener(), threading.Event()

    def carry():
        began_s, is_cut = time.monotonic(), cut_after_s is None
        while not stop.is_set():
            line.pump(0.005)
            if not is_cut and time.monotonic() - began_s > cut_after_s:
                is_cut = True
                line.pull_the_plug()
                line.power_on()

    carrier = threading.Thread(target=carry, daemon=True)
    carrier.start()
    try:
        with SerialPort.open(line.path, 115200) as port:
            drive(job, port, 115200, listener, None)
    except FlashError as error:
        return listener, error
    finally:
        stop.set()
        carrier.join()
    return listener, None


def one(folder, seed):
    """One transfer from a seed; returns whether it ended right, and raises if it lied."""
    rng = random.Random(seed)
    size = rng.randrange(1, 12_000)
    severity = rng.choice([0.002, 0.01, 0.03])
    faults = Faults(*(rng.random() * severity for _ in range(5)))
    line = HurtLine(folder / f"{seed}.flash", faults, rng)
    try:
        line.power_on()
        image = Image(header_of("1.0.0", size=size), image_of("1.0.0", size))
        cut_after_s = rng.uniform(0.1, 0.8) if rng.random() < 0.15 else None
        listener, error = transfer(line, Job(image, baud=4_000_000, connect_s=5.0, boot=False), cut_after_s)
        assert ("flashed" in listener.names()) == (error is None), f"seed {seed}"
        if error is None:
            assert line.slot("slot_a", size) == image.content, f"seed {seed}: wrong bytes called right"
        assert line.process.poll() in (None, 0), f"seed {seed}: the loader ended with {line.process.poll()}"
        return error is None
    finally:
        line.close()
        line.flash.unlink()


@pytest.mark.parametrize("batch", range(8))
def test_thousands_of_transfers_over_a_pty_never_lie(batch, tmp_path, record_property):
    header_of("1.0.0", size=1)
    seeds = range(batch * TRANSFERS, (batch + 1) * TRANSFERS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda seed: one(tmp_path, seed), seeds))
    record_property("transfers over a pty, ended right", sum(outcomes))
    record_property("transfers over a pty, ended with an error", len(outcomes) - sum(outcomes))
    assert sum(outcomes) > 0.8 * len(outcomes)


def test_the_plug_is_pulled_again_and_again(tmp_path):
    """Power cuts in mid-transfer, by SIGKILL: the flasher takes the board up where the flash is."""
    line = HurtLine(tmp_path / "flash", Faults(), random.Random(1))
    line.power_on()
    image = Image(header_of("1.0.0", size=16_000), image_of("1.0.0", 16_000))
    try:
        for cut_after_s in (0.02, 0.1, 0.2, 0.3):
            transfer(line, Job(image, boot=False), cut_after_s)
        assert line.slot("slot_a", 16_000) == image.content
    finally:
        line.close()


def test_after_flashing_the_board_boots_and_its_banner_is_told(tmp_path):
    line = HurtLine(tmp_path / "flash", Faults(), random.Random(1))
    line.power_on()
    try:
        listener, error = transfer(line, Job(Image(header_of("1.0.0"), image_of("1.0.0"))))
        assert error is None
        assert "booting v1.0.0 1.0.0 from slot-a: on trial, 3 of 3 tries left" in listener.events[-1].text
        assert line.process.wait(60) == 0
    finally:
        line.close()


def test_a_port_that_is_not_there_is_one_sentence():
    with pytest.raises(OperatorError, match=r"can't be opened.*--list"), SerialPort.open("/dev/nothing-here", 115200):
        pass
    with pytest.raises(OperatorError, match=r"can't be opened"), SerialPort.open("socket://127.0.0.1:1", 115200):
        pass
    with pytest.raises(OperatorError, match=r"no port"), SerialPort.open("nonsense://x", 115200):
        pass
