"""The architecture's rules, kept by reading the source (docs/architecture.md).

A *room* is a folder of a package (`settop/stitch`), or a module that stands beside the rooms (`settop/session`).
`ARROWS` says which rooms a room may know; rooms of its own name it need not list.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("carousel", "headend", "settop", "bench", "firmware_stub", "native_build")
BASE = {
    "carousel/errors",
    "carousel/batch",
    "carousel/buffers",
    "carousel/distinct",
    "carousel/crc",
    "carousel/event",
    "carousel/frozen",
    "carousel/printable",
    "carousel/records",
}
"""What every room may know."""
ARROWS: dict[str, set[str]] = {
    "carousel/native": set(),
    "carousel/crc": {"carousel/native"},
    "carousel/fec": {"carousel/native", "carousel/release"},
    "carousel/take": {"carousel/*"},
    "carousel/release": set(),
    "carousel/flute": {"carousel/release"},
    "carousel/ssu": {"carousel/release"},
    "carousel/console": {"carousel/flute", "carousel/release"},
    "carousel/uki": set(),
    "carousel/gate": set(),
    "carousel/bulletin": {"carousel/gate", "carousel/release"},
    "carousel/report": {"carousel/release"},
    "headend/pack": {
        "carousel/console",
        "carousel/uki",
        "carousel/fec",
        "carousel/flute",
        "carousel/release",
        "carousel/ssu",
    },
    "headend/rollout": {
        "carousel/bulletin",
        "carousel/console",
        "carousel/gate",
        "carousel/release",
        "carousel/report",
    },
    "headend/rolloutfile": {"carousel/console", "carousel/gate", "headend/rollout"},
    "headend/cast": {"carousel/bulletin", "carousel/console", "carousel/flute", "carousel/gate", "carousel/release"}
    | {"carousel/ssu", "headend/events", "headend/rollout"},
    "headend/events": {"carousel/flute"},
    "headend/link": {"carousel/console", "headend/cast"},
    "headend/shelf": {"carousel/console", "carousel/flute", "headend/cast"},
    "headend/casting": {"carousel/console", "carousel/flute", "headend/cast", "headend/events", "headend/link"}
    | {"headend/rolloutfile"},
    "headend/registry": {"carousel/console", "carousel/flute", "carousel/gate", "carousel/release", "headend/cast"}
    | {"carousel/bulletin", "carousel/report", "headend/rollout"},
    "headend/serve": {"carousel/console", "carousel/flute", "carousel/release", "carousel/ssu", "headend/cast"}
    | {"carousel/bulletin", "carousel/gate", "carousel/report", "headend/casting", "headend/link", "headend/pack"}
    | {"headend/events", "headend/registry", "headend/rollout", "headend/rolloutfile", "headend/shelf"},
    "headend/commands": {"carousel/*", "headend/*"},
    "headend/program": {"carousel/console", "headend/commands"},
    "headend/cli": {"carousel/console", "headend/commands", "headend/program"},
    "settop/events": {"carousel/flute", "carousel/release"},
    "settop/link": {"carousel/console", "carousel/native", "carousel/take"},
    "settop/wire": {"carousel/flute", "carousel/release", "carousel/ssu", "carousel/take", "settop/stitch"},
    "settop/stitch": {"carousel/fec", "carousel/release", "carousel/take", "settop/events"},
    "settop/rollout": {"carousel/bulletin", "carousel/gate", "carousel/release", "carousel/report", "settop/events"}
    | {"settop/stitch", "settop/wire"},
    "settop/gatewatch": {"settop/*"},
    "settop/decided": {"settop/events", "settop/rollout", "settop/store"},
    "settop/work": {"carousel/fec", "carousel/release", "settop/stitch"},
    "settop/store": {"carousel/bulletin", "carousel/console", "carousel/flute", "carousel/release", "carousel/take"}
    | {"carousel/report", "settop/stitch"},
    "settop/boot": {"carousel/release", "carousel/uki", "settop/store"},
    "settop/image": {"carousel/release", "carousel/uki", "settop/boot"},
    "settop/flasher": {"carousel/console", "carousel/release", "settop/report", "settop/store"},
    "settop/blame": {"settop/stitch"},
    "settop/report": {"carousel/console", "settop/events"},
    "settop/metrics": set(),
    "settop/options": {"carousel/console"},
    "settop/reception": {"carousel/release", "settop/events", "settop/options", "settop/link", "settop/stitch"}
    | {"settop/rollout", "settop/store", "settop/work"},
    "settop/session": {"carousel/*", "settop/*"},
    "settop/commands": {"carousel/*", "settop/*"},
    "settop/cli": {"carousel/*", "settop/*"},
    "bench/virtual": {"carousel/*", "headend/cast", "settop/events", "settop/flasher", "settop/stitch", "settop/store"}
    | {"settop/wire"},
    "bench/link": {"carousel/console", "headend/link", "settop/link"},
    "bench/capture": {"carousel/*", "headend/link", "settop/link", "settop/wire"},
    "bench/peers": {"carousel/console", "headend/link", "settop/link", "bench/bytecode"},
    "bench/fleet": {"carousel/*", "headend/*", "settop/stitch", "settop/wire", "bench/link", "bench/virtual"},
    "bench/speed": {"carousel/*", "headend/*", "settop/*", "bench/*"},
    "bench/demo": {"carousel/console", "bench/kernel"},
    "bench/servedemo": {"carousel/console"},
    "bench/siege": {"carousel/*", "headend/cast", "headend/pack", "headend/rollout", "settop/rollout", "settop/stitch"}
    | {"settop/store", "bench/virtual"},
    "bench/vectors": {"carousel/*", "headend/pack", "settop/store"},
    "bench/cli": {"carousel/console", "bench/*"},
    "bench/manual": {"carousel/console", "headend/program", "settop/cli", "bench/cli"},
    "native_build/*": {"carousel/fec", "native_build/*"},
    "firmware_stub/*": {"carousel/*", "headend/pack", "settop/flasher", "settop/stitch", "settop/store"},
}
MAY_TOUCH = {
    "sockets": {"carousel/console", "headend/link", "headend/serve", "settop/link"},
    "clocks": {"headend/commands", "settop/commands", "settop/flasher"},
    "disks": {"carousel/console", "headend/commands", "headend/link", "headend/pack", "headend/shelf"}
    | {"headend/registry", "headend/rolloutfile", "headend/serve"}
    | {
        "headend/cli",
        "settop/cli",
        "settop/commands",
        "settop/flasher",
        "settop/session",
        "settop/store",
        "settop/work",
    }
    | {"settop/boot", "settop/image"},
    "randomness": set[str](),
}
"""Which rooms of a product may touch what is not pure; `bench` and the stub's tools are no product."""
MODULES_OF = {
    "sockets": {"socket", "socketserver", "asyncio"},
    "clocks": {"time", "datetime"},
    "disks": {"pathlib", "os", "shutil", "tempfile", "mmap"},
    "randomness": {"random", "secrets"},
}
STARTED_BY_NAME = {
    "native_build/hook",
    "bench/demo",
    "bench/peers/fluteharness",
}
"""Modules that nothing imports since they are started: `python -m`, or by another process."""
LAZY_IMPORT = re.compile(r"[a-z_]+(\.[a-z_0-9]+)+:[a-z_]+")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50


def name_of(path: Path) -> str:
    """Return a module's name as a path without its ending."""
    return str(path.relative_to(ROOT).with_suffix(""))


FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "build" not in path.parts)
MODULES = {name_of(path).removesuffix("/__init__") for path in FILES}


def room_of(module: str) -> str:
    return "/".join(module.split("/")[:2])


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports, as paths; of `from a import b` both `a` and `a/b`, of the lazy "a.b:c" `a/b`."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.replace(".", "/") for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and LAZY_IMPORT.fullmatch(node.value):
            yield node.value.split(":")[0].replace(".", "/")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = (node.module or "").replace(".", "/")
            yield module
            yield from (f"{module}/{alias.name}" for alias in node.names)


def modules_known(path: Path) -> set[str]:
    """Return the modules of ours that a module imports; a script's siblings by their bare names."""
    beside = name_of(path.parent / "_").removesuffix("_")
    return (set(imports(path)) | {beside + name for name in imports(path)}) & MODULES


def may_know(room: str, other: str) -> bool:
    allowed = BASE | {room} | ARROWS.get(room, ARROWS.get(f"{room.split('/', maxsplit=1)[0]}/*", set()))
    return other in allowed or f"{other.split('/', maxsplit=1)[0]}/*" in allowed or "/" not in other


def test_there_are_files_to_judge():
    assert len(FILES) > 100


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_rooms_know_only_whom_they_may(path):
    room = room_of(name_of(path))
    for module in modules_known(path):
        assert may_know(room, room_of(module)), f"{name_of(path)} must not import {module}"


def test_every_arrow_of_the_table_names_rooms_that_exist():
    rooms = {room_of(name_of(path)) for path in FILES} | {f"{package}/*" for package in PACKAGES}
    for room, known in ARROWS.items():
        assert {room, *known} <= rooms, f"the table names { ({room, *known} - rooms) }"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if name_of(path).split("/")[0] not in ("bench", "firmware_stub", "native_build")],
    ids=name_of,
)
def test_what_is_not_pure_has_its_rooms(path):
    room, used = room_of(name_of(path)), {name.split("/")[0] for name in imports(path)}
    for what, modules in MODULES_OF.items():
        assert not used & modules or room in MAY_TOUCH[what], f"{name_of(path)} touches {what}: {used & modules}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_global_random_generator(path):
    source = path.read_text()
    assert "np.random.seed" not in source
    assert "default_rng()" not in source


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_can_be_read_in_a_sitting(path):
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}: {node.name} has {lines} lines"


@pytest.mark.parametrize(
    "path", [path for path in FILES if name_of(path).split("/")[0] in ("carousel", "settop")], ids=name_of
)
def test_what_a_box_loads_declares_values_that_never_change_as_frozen_ones(path):
    """A dataclass costs half a millisecond of a start (carousel/frozen.py); for what changes there are few of them."""
    for node in nodes_of(path):
        if isinstance(node, ast.ClassDef):
            decorators = [ast.unparse(each) for each in node.decorator_list]
            assert not any("frozen=True" in each for each in decorators), f"{path}: {node.name} is a dataclass"


def test_every_room_says_what_it_is_for():
    for folder in {path.parent for path in FILES if path.parent.name not in PACKAGES}:
        if folder.is_relative_to(ROOT / "firmware_stub"):
            continue
        first = (folder / "__init__.py").read_text().split("\n")[0]
        assert first.startswith('"""'), f"{folder}/__init__.py says nothing"
        assert len(first) > 20, f"{folder}/__init__.py says nothing"


def test_no_module_is_dead():
    """Each is imported, or is a command, or is started by its name; `bench/virtual` and the stub serve the tests."""
    known = set().union(*(modules_known(path) for path in FILES))
    for path in (ROOT / "tests").rglob("*.py"):
        known |= {module for module in modules_known(path) if module.startswith(("bench/virtual", "firmware_stub"))}
    started = {"headend/cli", "settop/cli", "bench/cli"} | STARTED_BY_NAME
    for path in FILES:
        name = name_of(path)
        is_main = '__name__ == "__main__"' in path.read_text()
        alive = name in known | started or path.name in ("__init__.py", "__main__.py") or path.name.startswith("test_")
        assert alive or is_main, f"nothing imports {name}"


def test_tests_mirror_the_rooms():
    """Every test module stands where its subject does, under the subject's name or in its room."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        if folder.parts and folder.parts[0] in PACKAGES:
            assert (ROOT / folder).is_dir(), f"{path} mirrors no room"


def test_rooms_have_tests():
    """The other direction: every room of a product has test modules of its own."""
    for package in ("carousel", "headend", "settop"):
        for room in (ROOT / package).iterdir():
            if room.is_dir() and any(room.glob("*.py")):
                found = list((ROOT / "tests" / room.relative_to(ROOT)).rglob("test_*.py"))
                assert found, f"{room.relative_to(ROOT)} has no tests of its own"
