import subprocess
import sys

import pytest

from carousel import native
from native_build.compile import compile_library, compiler
from native_build.generate import NATIVE, generated


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
