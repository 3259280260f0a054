"""The stub's rooms: who includes whom, no circles, and a test folder for each (firmware_stub/core/stub.h)."""

import re
from graphlib import TopologicalSorter

import pytest

from tests.firmware_stub.stubhost import STUB

MAY_INCLUDE = {
    "core": {"core"},
    "loader": {"core", "loader"},
    "": {"core", "loader", ""},  # main.c
    "ports/host": {"core", "loader", "", "ports/host"},
    "ports/host/fuzz": {"core", "loader", "ports/host"},
    "ports/qemu": {"core", "loader", "", "ports/qemu"},
    "ports/qemu/payload": {"core", "loader"},
}
SOURCES = sorted(path for path in STUB.rglob("*.[chS]") if "build" not in path.parts)
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50
INCLUDE = re.compile(r'^\s*#include "([^"]+)"', re.MULTILINE)
FUNCTION = re.compile(r"^[a-zA-Z][^;=#]*?\)\n\{\n.*?^\}", re.MULTILINE | re.DOTALL)


def name_of(path):
    return str(path.relative_to(STUB))


def room_of(path):
    return str(path.parent.relative_to(STUB)).replace(".", "", 1) if path.parent == STUB else name_of(path.parent)


def included(path):
    """The files of ours that a file includes: beside it, or from the stub's root."""
    for name in INCLUDE.findall(path.read_text()):
        beside = path.parent / name
        yield beside if beside.exists() else STUB / name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_includes_only_what_its_room_may_know(path):
    for header in included(path):
        assert header.exists(), f"{header} is not there"
        assert room_of(header) in MAY_INCLUDE[room_of(path)], f"{name_of(path)} includes {name_of(header)}"


def test_no_two_modules_know_each_other_in_a_circle():
    """A module is a .c and its .h."""
    knows = {}
    for path in SOURCES:
        module = path.with_suffix("")
        knows.setdefault(module, set()).update(header.with_suffix("") for header in included(path))
    for module, others in knows.items():
        others.discard(module)
    assert list(TopologicalSorter(knows).static_order())


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_can_be_read_in_a_sitting(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for function in FUNCTION.findall(text):
        assert function.count("\n") <= MAX_FUNCTION_LINES, function.splitlines()[0]


def test_every_module_of_core_and_loader_is_built_and_every_header_is_included():
    makefile = (STUB / "Makefile").read_text()
    for path in SOURCES:
        if path.suffix in (".c", ".S"):
            assert re.search(rf"[ /,]{re.escape(path.name)}\b", makefile), f"{name_of(path)} is built by nothing"
    known = {header for path in SOURCES for header in included(path)}
    assert {path for path in SOURCES if path.suffix == ".h"} <= known


def test_the_tests_mirror_the_rooms():
    tests = STUB.parent / "tests" / "firmware_stub"
    for folder in (*(STUB / room for room in MAY_INCLUDE if room != "ports/qemu/payload"), STUB / "tools"):
        assert list((tests / folder.relative_to(STUB)).glob("test_*.py")), f"{folder} has no tests"
    for folder in {path.parent for path in tests.rglob("test_*.py")}:
        assert (STUB / folder.relative_to(tests)).is_dir(), f"{folder} mirrors no room"
