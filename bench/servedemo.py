"""`make serve`: a head-end as a service, with a demo carousel on lo; prints the page's address, and ends with Ctrl-C.

What it makes lies in serve-out/, and is there again the next time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from carousel.console.command import run_command
from carousel.errors import OperatorError

__all__ = ["main"]

BIN = Path(sys.executable).parent
FOLDER = Path("serve-out")
GROUP = "239.255.77.1:5077"
DATA = FOLDER / "data"
IMAGE_BYTES = 8_000_000
PATIENCE_S = 60.0


def headend(*arguments: object) -> str:
    """Run a command of ours; `OperatorError` with what it says where it fails."""
    done = subprocess.run([BIN / "headend", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OperatorError(done.stderr.strip())
    return done.stdout


def prepare() -> None:
    """Make keys and a release to show, once."""
    (DATA / "trust").mkdir(parents=True, exist_ok=True)
    (FOLDER / "service.toml").write_text('[interfaces]\nlo = "100M"\n')
    if not (FOLDER / "demo.release").exists():
        headend("keygen", FOLDER / "lab")
        headend("keygen", "--bulletin", DATA / "bulletin")
        (DATA / "trust" / "lab.pub").write_bytes((FOLDER / "lab.pub").read_bytes())
        (FOLDER / "demo-image").write_bytes(os.urandom(IMAGE_BYTES))
        request = ["--key", FOLDER / "lab.key", "--hardware", "00A1B2:7", "--version", "1.4.0"]
        headend("pack", FOLDER / "demo-image", "-o", FOLDER / "demo.release", *request)


def address_of(service: "subprocess.Popen[str]", log: Path) -> str:
    """Wait until it serves; return where."""
    for _ in range(round(PATIENCE_S / 0.1)):
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                return str(json.loads(line)["url"])
        if service.poll() is not None:
            raise OperatorError(log.read_text().strip())
        time.sleep(0.1)
    raise OperatorError(f"the service does not come up; {log} says why")


def show(url: str) -> None:
    """Put the demo on the air, where it is not yet, and say where to look."""
    at = ["ctl", "--url", url.rstrip("/"), "--token-file", DATA / "admin.token"]
    release = headend(*at, "upload", FOLDER / "demo.release").split()[0]
    if "demo" not in headend(*at, "carousels"):
        headend(*at, "create", "demo", "--group", GROUP, "--interface", "lo", "--rate", "20M")
    headend(*at, "put", "demo", release)
    print(f"the page:  {url}\nits token: {(DATA / 'admin.token').read_text().strip()}")
    shell = f"{os.path.relpath(BIN / 'headend')} ctl --token-file {DATA / 'admin.token'} status"
    print(f"a shell:   {shell}\nCtrl-C ends it", flush=True)


def main() -> None:
    """Serve until Ctrl-C."""
    prepare()
    log = FOLDER / "serve.log"
    arguments = ["--data", DATA, "--config", FOLDER / "service.toml", "--json"]
    with log.open("w") as out:
        command = [str(BIN / "headend"), "serve", *map(str, arguments)]
        service = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        show(address_of(service, log))
        signal.signal(signal.SIGTERM, lambda *_: service.terminate())
        service.wait()
    except KeyboardInterrupt:
        print("\nending")
    finally:
        if service.poll() is None:
            service.terminate()
        service.wait()


if __name__ == "__main__":
    run_command("serve", main)
