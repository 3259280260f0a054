import re
import subprocess
import sys

import numpy as np
import pytest

from carousel import fec, native
from native_build.compile import compile_library, compiler
from native_build.generate import NATIVE, affine_matrices, generated, nibble_products
from tests.carousel.native.need import needs_native


@pytest.mark.parametrize("name", sorted(generated()))
def test_what_is_generated_has_not_drifted(name):
    assert (NATIVE / name).read_text() == generated()[name], f"{name}: run `make native`"


def test_the_core_is_loaded_or_says_why():
    assert (native.core() is None) == (native.why_not() is not None)


def test_a_library_that_is_no_library_is_an_error_with_a_reason(tmp_path):
    path = tmp_path / "libcarousel.so"
    path.write_bytes(b"no library")
    with pytest.raises(OSError, match="libcarousel"):
        native.Core(str(path))


def test_a_library_of_other_declarations_is_refused(tmp_path):
    path = tmp_path / "libold.so"
    (tmp_path / "old.c").write_text("unsigned bc_abi(void) { return 1; }\n")
    command = compiler()
    if command is None:
        pytest.skip("no C compiler")
    subprocess.run([*command, "-shared", "-fPIC", "-o", path, tmp_path / "old.c"], check=True)
    with pytest.raises(OSError, match="install the package again"):
        native.Core(str(path))


def test_a_source_with_an_error_leaves_no_library(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        compile_library([sys.executable], tmp_path / "lib.so")
    assert not list(tmp_path.iterdir())


@needs_native
@pytest.mark.parametrize("name", ["plain", "ssse3", "avx2", "gfni", "neon"])
def test_every_kind_of_kernels_gives_the_same_bytes(name):
    core = native.core()
    assert core is not None, native.why_not()
    before, block = core.kernels, np.random.default_rng(7).integers(0, 256, (150, 1000), dtype=np.uint8)
    codec, esis = fec.codec("native"), np.arange(150, 400)
    expected, found, decoded = (np.zeros(shape, dtype=np.uint8) for shape in ((250, 1000), (250, 1000), block.shape))
    codec.encode(block, 1000, esis, expected)
    try:
        if core.lib.bc_use_kernels(name.encode()) != 0:
            return  # not of this processor: another machine judges it
        codec.encode(block, 1000, esis, found)
        assert codec.decode(decoded, 1000, np.arange(150), found, np.arange(152), esis[:152])
    finally:
        core.lib.bc_use_kernels(before.encode())
    assert np.array_equal(found, expected)
    assert np.array_equal(decoded, block)


@needs_native
def test_kernels_that_do_not_exist_are_refused():
    core = native.core()
    assert core is not None, native.why_not()
    assert core.lib.bc_use_kernels(b"abacus") != 0


def test_the_bit_matrices_multiply_as_the_tables_do():
    """GF2P8AFFINEQB: bit i of the product is the parity of x and byte 7 - i of the matrix."""
    x, parity = np.arange(256), np.array([number.bit_count() & 1 for number in range(256)])
    for c, matrix in enumerate(affine_matrices()):
        product = sum(parity[x & (matrix >> 8 * (7 - i) & 0xFF)] << i for i in range(8))
        table = np.array(nibble_products()[32 * c : 32 * c + 32])
        assert np.array_equal(product, table[x & 15] ^ table[16 + (x >> 4)])


@pytest.mark.parametrize("path", sorted(NATIVE.glob("*.[ch]")), ids=lambda path: path.name)
def test_c_files_and_functions_can_be_read_in_a_sitting(path):
    lines = path.read_text().splitlines()
    if path.name in generated():
        return
    assert len(lines) <= 500
    start = None
    for number, line in enumerate(lines):
        assert len(line) <= 120, f"line {number + 1}"
        if re.match(r"[a-zA-Z].*\) \{$|                 .*\) \{$", line):
            start = number
        elif line == "}" and start is not None:
            assert number - start < 50, f"the function at line {start + 1}"
            start = None
