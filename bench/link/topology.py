"""Many boxes: classes of links, how many boxes of each, which of them share a trunk.

seed = 7
[[trunk]]                      # what it loses, all boxes behind it lose
name = "street"
down = "rate=200M,loss=0.5%,burst=10"

[[class]]
name = "good"
boxes = 20
to = "127.0.0.1:6001"          # the first box; each further one has the next port
profile = "docsis31"           # and/or down = "...", up = "..."
trunk = "street"
"""

import ipaddress
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.link.profiles import find_profile
from bench.link.spec import LinkSpec, parse_link
from carousel.errors import OperatorError, UsageError

__all__ = ["LinkClass", "Target", "Topology", "Trunk", "parse_target", "read_topology"]

MAX_BOXES = 10_000
_TARGET = re.compile(r"(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})(?:%(\S+))?")


@dataclass(frozen=True)
class Target:
    """Where a link ends: an address and port; for a group, the interface."""

    address: str
    port: int
    interface: str | None = None

    @property
    def is_group(self) -> bool:
        """Say whether it is multicast."""
        return ipaddress.ip_address(self.address).is_multicast

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + (f"%{self.interface}" if self.interface else "")

    def nth(self, index: int) -> "Target":
        """Return the target of a class's box: the same address, the next ports."""
        return Target(self.address, self.port + index, self.interface)


@dataclass(frozen=True)
class Trunk:
    """A line that several classes share."""

    name: str
    down: LinkSpec


@dataclass(frozen=True)
class LinkClass:
    """Boxes behind links of one kind."""

    name: str
    targets: tuple[Target, ...]
    down: LinkSpec
    up: LinkSpec
    trunk: str | None = None


@dataclass(frozen=True)
class Topology:
    """All links of a run."""

    classes: tuple[LinkClass, ...]
    trunks: tuple[Trunk, ...] = ()
    seed: int | None = None


def parse_target(text: str) -> Target:
    """Read `127.0.0.1:6001` or `239.255.78.2:5078%lo`."""
    match = _TARGET.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else "")
    except ValueError:
        raise UsageError(f"target {text!r} is not of the form 127.0.0.1:6001 or 239.255.78.2:5078%lo") from None
    assert match is not None
    if not 0 < int(match[3]) < 65536:
        raise UsageError(f"target {text!r}: a port is from 1 to 65535")
    if address.is_multicast and not match[4]:
        raise UsageError(f"target {text!r} is a group: say through which interface, such as {text}%lo")
    return Target(str(address), int(match[3]), match[4])


def _table(where: str, table: Any, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise OperatorError(f"{where} is no table")
    for key in table:
        if key not in required | optional:
            raise OperatorError(f"{where}: there is no key {key!r}; there are {', '.join(sorted(required | optional))}")
    for key in sorted(required - set(table)):
        raise OperatorError(f"{where}: {key!r} is missing")
    return table


def read_topology(path: Path, more_profiles: Path | None = None) -> Topology:
    """Read a topology file; `OperatorError` names the table and the key."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{path} is no TOML: {error}") from None
    _table(str(path), content, {"class"}, {"trunk", "seed"})
    trunks = []
    for index, raw in enumerate(content.get("trunk", [])):
        table = _table(f"{path}, trunk {index + 1}", raw, {"name", "down"}, set())
        trunks.append(Trunk(str(table["name"]), parse_link(str(table["down"]))))
    names = {trunk.name for trunk in trunks}
    classes = tuple(
        _read_class(f"{path}, class {index + 1}", raw, names, more_profiles)
        for index, raw in enumerate(content["class"])
    )
    if sum(len(each.targets) for each in classes) > MAX_BOXES:
        raise OperatorError(
            f"{path}: more than {MAX_BOXES} boxes; real packets are for fewer, `bootbench fleet` for more"
        )
    seed = content.get("seed")
    if seed is not None and (not isinstance(seed, int) or seed < 0):
        raise OperatorError(f"{path}: seed is a whole number from 0")
    return Topology(classes, tuple(trunks), seed)


def _read_class(where: str, raw: Any, trunks: set[str], more_profiles: Path | None) -> LinkClass:
    table = _table(where, raw, {"name", "to"}, {"boxes", "profile", "down", "up", "trunk"})
    boxes = table.get("boxes", 1)
    if not isinstance(boxes, int) or not 1 <= boxes <= MAX_BOXES:
        raise OperatorError(f"{where}: boxes is a whole number from 1 to {MAX_BOXES}")
    trunk = table.get("trunk")
    if trunk is not None and trunk not in trunks:
        raise OperatorError(f"{where}: there is no trunk {trunk!r}; there are {', '.join(sorted(trunks)) or 'none'}")
    base_down, base_up = LinkSpec(), LinkSpec()
    if "profile" in table:
        profile = find_profile(str(table["profile"]), more_profiles)
        base_down, base_up = profile.down, profile.up
    first = parse_target(str(table["to"]))
    if first.port + boxes > 65536:
        raise OperatorError(f"{where}: {boxes} boxes from port {first.port} on pass port 65535")
    down = parse_link(str(table.get("down", "")), base_down)
    up = parse_link(str(table.get("up", "")), base_up)
    return LinkClass(str(table["name"]), tuple(first.nth(index) for index in range(boxes)), down, up, trunk)
