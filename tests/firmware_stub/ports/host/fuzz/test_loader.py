"""The fuzz target of the loader: its corpus, some thousand mutations of it, and that it can find anything at all."""

import shutil
import subprocess

import pytest

from tests.firmware_stub.stubhost import STUB

pytestmark = pytest.mark.fuzz

CORPUS = STUB / "ports" / "host" / "fuzz" / "corpus"
RUNS = 8_000
LONGEST_S = 300


def build(folder, stub=STUB):
    """Build the target where no other test writes."""
    command = ["make", "-s", "-C", stub, f"BUILD={folder}", f"{folder}/fuzz-loader"]
    subprocess.run(command, check=True, timeout=LONGEST_S)
    return folder / "fuzz-loader"


def fuzz(target, folder, runs):
    """Run the target from the corpus, always the same way."""
    found = folder / "found"
    found.mkdir(exist_ok=True)
    options = [f"-runs={runs}", "-seed=1", "-max_len=2048", "-len_control=0", f"-artifact_prefix={folder}/"]
    command = [target, *options, found, CORPUS]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST_S)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return build(tmp_path_factory.mktemp("fuzz"))


def test_nothing_on_the_line_loses_the_confirmed_image(target, tmp_path, record_property):
    run = fuzz(target, tmp_path, RUNS)
    assert run.returncode == 0, run.stderr[-3000:]
    record_property("scripts on the loader's line, mutated", RUNS)


MUTATIONS = {
    "frames may write the active slot": ("core/install.c", "if (place == record->active) {", "if (0) {"),
    "the image's size is not looked at": (
        "core/install.c",
        "if (length > it->image_bytes - offset) {",
        "if (0) {",
    ),
    "sums of any number": (
        "loader/loader.c",
        "wanted->span_bytes == 0 || wanted->count > MAX_SUMS || end >= (uint64_t)it->image_bytes + wanted->span_bytes",
        "wanted->span_bytes == 0 || end == 1",
    ),
    "a frame of any length": ("loader/slip.c", "decoder->length == MAX_FRAME_BYTES", "decoder->length == 65535"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_hole_in_the_loader_is_found(mutation, tmp_path):
    name, old, new = MUTATIONS[mutation]
    stub = tmp_path / "stub"
    shutil.copytree(STUB, stub, ignore=shutil.ignore_patterns("build"))
    source = stub / name
    text = source.read_text()
    assert text.count(old) == 1, "the mutation does not apply any more"
    source.write_text(text.replace(old, new))
    (tmp_path / "build").mkdir()
    run = fuzz(build(tmp_path / "build", stub), tmp_path, RUNS)
    assert run.returncode != 0, "the fuzzer passes by"
