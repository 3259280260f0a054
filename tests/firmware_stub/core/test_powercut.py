"""Power cuts on the C stub: singles, pairs, and proof that the tests can fail."""

import shutil
import subprocess

import pytest

from tests.firmware_stub.core.interruptions import SCENARIOS, Scenario, cut_once, cut_twice
from tests.firmware_stub.stubhost import STUB

pytestmark = pytest.mark.stub

SEEDS = 24
PAIR_SEEDS = 3


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_power_cut_at_every_operation(scenario, record_property):
    tried = cut_once(scenario, SEEDS)
    record_property("power cuts, C stub", tried)
    assert tried >= 5 * SEEDS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_second_power_cut_during_recovery(scenario, record_property):
    tried = cut_twice(scenario, PAIR_SEEDS)
    record_property("pairs of power cuts, C stub", tried)
    assert tried >= 200 * PAIR_SEEDS


MUTATIONS = {
    "decrement after the jump": ("boot.c", "if (!record_append(stub, &tried)) {", "if (0) {"),
    "erase the newest record's sector": (
        "record.c",
        "place = at < flash->sector_bytes ? flash->sector_bytes : 0;",
        "place = at < flash->sector_bytes ? 0 : flash->sector_bytes;",
    ),
    "believe a record by its magic": (
        "record.c",
        "== 0\n        && record->layout",
        "== 0;\n    return record->layout",
    ),
    "append over a torn record": (
        "record.c",
        "if (!flash_is_blank(stub->flash, records + at,",
        "if (at == 0 && (records,",
    ),
    "raise the floor at install": (
        "install.c",
        "record_set_on_trial(&record, it->place);",
        "record_set_on_trial(&record, it->place); record.floor = it->header.security_counter;",
    ),
    "install into the active slot": (
        "transitions.c",
        "if (slot != record->active && record->slots",
        "if (record->slots",
    ),
    "body not erased": ("install.c", "!flash_erase_unless_blank(stub->flash, it->image_offset + begin)", "0"),
    "a spent trial confirms itself": (
        "boot.c",
        "record_set_failed(record, slot, FAILURE_TRIES_USED_UP);",
        "record_set_confirmed(record, slot);",
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_stub_is_caught(mutation, tmp_path):
    name, old, new = MUTATIONS[mutation]
    folder = tmp_path / "stub"
    shutil.copytree(STUB, folder, ignore=shutil.ignore_patterns("build"))
    source = folder / "core" / name
    text = source.read_text()
    assert text.count(old) == 1, "the mutation does not apply any more"
    source.write_text(text.replace(old, new))
    flags = ["-std=c11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"]
    sources = sorted(folder.glob("core/*.c")) + sorted(folder.glob("loader/*.c"))
    sources += [folder / "ports" / "host" / name for name in ("nor.c", "host.c")]
    subprocess.run(["cc", *flags, "-I", folder, "-o", tmp_path / "mutated.so", *sources], check=True)
    with pytest.raises(AssertionError):
        cut_all(tmp_path / "mutated.so")


def cut_all(path):
    for scenario in SCENARIOS:
        cut_once(scenario, 4, path)


def test_the_unmutated_stub_passes_the_same_run():
    assert cut_once(Scenario(("1.0.0",), "install", 2), 4) > 0
