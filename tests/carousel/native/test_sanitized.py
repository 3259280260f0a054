"""The core under clang's sanitizers, and what fuzzers find in its entry points: their corpus and some thousand runs."""

import subprocess
from pathlib import Path

import pytest

from native_build.compile import NATIVE, sources

pytestmark = [pytest.mark.fuzz, pytest.mark.slow, pytest.mark.long]
HERE = Path(__file__).parent
CHECKED = ("-std=c11", "-O1", "-g", "-fno-sanitize-recover=all", f"-I{NATIVE}")
RUNS = {"codec": 4000, "take": 20_000, "reads": 20_000}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The core's object files, compiled once for all programs here."""
    folder = tmp_path_factory.mktemp("sanitized")
    flags = [*CHECKED, "-fsanitize=fuzzer-no-link,address,undefined"]
    subprocess.run(["clang", *flags, "-c", *sources()], cwd=folder, check=True)
    return sorted(folder.glob("*.o"))


def linked(objects, tmp_path, program, sanitizers):
    output = tmp_path / program.stem
    call = ["clang", *CHECKED, f"-fsanitize={sanitizers},address,undefined", "-o", output, *objects, program]
    subprocess.run(call, check=True)
    return output


def test_no_byte_beside_its_array_nothing_undefined_no_leak(objects, tmp_path):
    program = linked(objects, tmp_path, HERE / "selftest.c", "fuzzer-no-link")
    done = subprocess.run([program, "3"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stdout + done.stderr


@pytest.mark.parametrize("target", sorted(RUNS))
def test_fuzzing_finds_nothing(objects, tmp_path, target):
    fuzzer = linked(objects, tmp_path, HERE / "fuzz" / f"{target}.c", "fuzzer")
    found = tmp_path / "found"
    found.mkdir()
    call = [fuzzer, f"-runs={RUNS[target]}", "-seed=1", "-max_len=600", f"-artifact_prefix={tmp_path}/", found]
    done = subprocess.run([*call, HERE / "fuzz" / "corpus" / target], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS[target]} runs" in done.stderr
