"""Making a UKI: what goes in comes out, and what can't be one is said in a sentence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import FormatError, OperatorError
from carousel.uki import build_uki, parse_uki
from headend.pack.uki import architecture_of, find_stub, make_uki
from tests.settop.boot.models import STUB

ARM64_KERNEL = (b"MZ" + bytes(0x36) + b"ARM\x64").ljust(3000, b"k")


@given(
    kernel=st.binary(min_size=1, max_size=3000),
    initrd=st.binary(max_size=3000),
    command_line=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200),
)
def test_what_goes_in_comes_out(kernel, initrd, command_line):
    image = build_uki(STUB, kernel, initrd, command_line, "ID=bootcast\n")
    uki = parse_uki(memoryview(image))
    assert (bytes(uki.linux), bytes(uki.initrd), uki.command_line) == (kernel, initrd, command_line)
    assert uki.os_release == "ID=bootcast"
    assert uki.machine == 0xAA64
    assert image == build_uki(STUB, kernel, initrd, command_line, "ID=bootcast\n"), "the same parts, the same bytes"


def test_initrds_stand_one_behind_the_other(tmp_path: Path):
    for name, content in (("kernel", ARM64_KERNEL), ("one", b"12345"), ("two", b"678"), ("stub", STUB)):
        (tmp_path / name).write_bytes(content)
    initrds = [tmp_path / "one", tmp_path / "two"]
    image = make_uki(tmp_path / "kernel", initrds, "quiet", tmp_path / "stub")
    assert bytes(parse_uki(memoryview(image)).initrd) == b"12345\x00\x00\x00678\x00"


def test_a_kernel_tells_its_architecture():
    assert architecture_of(ARM64_KERNEL) == "aarch64"
    with pytest.raises(OperatorError, match="this file is none"):
        architecture_of(b"#!/bin/sh\n" * 100)


def test_a_missing_stub_names_its_package(tmp_path: Path):
    with pytest.raises(OperatorError, match="systemd-boot-efi of arm64"):
        find_stub("aarch64", (tmp_path,))
    with pytest.raises(OperatorError, match="no EFI stub for armv7"):
        find_stub("armv7", (tmp_path,))
    (tmp_path / "linuxaa64.efi.stub").touch()
    assert find_stub("aarch64", (tmp_path,)).name == "linuxaa64.efi.stub"


def test_a_file_that_is_no_stub_is_said(tmp_path: Path):
    (tmp_path / "kernel").write_bytes(ARM64_KERNEL)
    with pytest.raises(OperatorError, match="is no EFI stub"):
        make_uki(tmp_path / "kernel", [], "quiet", tmp_path / "kernel")
    with pytest.raises(OperatorError, match="longer than"):
        make_uki(tmp_path / "kernel", [], "x" * 3000, None)


def test_a_stub_without_room_for_section_headers_is_refused():
    crowded = bytearray(STUB)
    place = 64 + 24 + 60
    crowded[place : place + 4] = (250).to_bytes(4, "little")
    with pytest.raises(FormatError, match="without_room"):
        build_uki(bytes(crowded), b"k", b"", "", "")
