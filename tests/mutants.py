"""Bugs put in by a program (mutmut), one at a time: does a test of that room notice? `make mutants`.

    python -m tests.mutants --room settop/store --sample 200 --seed 1

Each room is judged by its own tests alone, those of the same name in `tests/`: they are what its readers look at. It
works on a copy in `mutants-out/`, goes on where it was ended, and prints what survived. What mutmut leaves alone:
properties and other decorated functions, and what stands outside of functions.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("carousel/release", "settop/stitch", "settop/wire", "settop/boot", "settop/store")
SOURCES = ("carousel", "settop", "headend", "bench")
BESIDE = ("firmware_stub", "native_build", "docs", "examples", "README.md", "Makefile")
SETTINGS = """
[tool.mutmut]
source_paths = {sources}
only_mutate = ["{room}/*"]
also_copy = {beside}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]
pytest_add_cli_args_test_selection = ["tests/{room}"]
process_isolation = "forkserver"
use_git_change_detection = false
do_not_mutate_patterns = ['raise (OperatorError|UsageError|ValueError|OSError|FormatError)']
"""
"""The words of an error are for people; that it is raised is mutated where that is decided."""
VERDICTS = {0: "survived", 33: "no test", 36: "timeout", None: "not judged"}


def copy_of(room: str) -> Path:
    """Copy what git knows, and the native core, for one room."""
    folder = ROOT / "mutants-out" / room.replace("/", "-")
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    for name in [*filter(None, listed), "carousel/native/libcarousel.so"]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    with (folder / "pyproject.toml").open("a") as config:
        config.write(SETTINGS.format(room=room, sources=json.dumps(SOURCES), beside=json.dumps(BESIDE)))
    return folder


def mutmut(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "mutmut"
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def verdicts(folder: Path) -> dict[str, int | None]:
    """Return the exit code of the tests by mutant; None where nobody has tried."""
    found: dict[str, int | None] = {}
    for meta in sorted((folder / "mutants").rglob("*.meta")):
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def judge(room: str, sample: int | None, seed: int, children: int) -> list[str]:
    """Try the mutants of a room, or some of them; return those that no test noticed."""
    folder = copy_of(room)
    mutmut(folder, "run", "nothing has this name")  # makes them all, and then finds none of this name
    names = sorted(verdicts(folder))
    chosen = sorted(random.Random(seed).sample(names, min(sample or len(names), len(names))))
    left = [name for name in chosen if verdicts(folder)[name] is None]
    if left:
        mutmut(folder, "run", "--max-children", str(children), *left)
    found = verdicts(folder)
    counts = Counter(VERDICTS.get(found[name], "killed") for name in chosen)
    said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    print(f"{room}: {len(chosen)} of {len(names)} mutants (seed {seed}): {said}", flush=True)
    return [name for name in chosen if VERDICTS.get(found[name]) in {"survived", "no test"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--room", action="append", choices=ROOMS)
    parser.add_argument("--sample", type=int, help="so many of each room, drawn by the seed; all, if not given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=2)
    given = parser.parse_args()
    for room in given.room or ROOMS:
        for name in judge(room, given.sample, given.seed, given.children):
            shown = mutmut(ROOT / "mutants-out" / room.replace("/", "-"), "show", name).stdout.splitlines()
            changed = [line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---")]
            print(f"  {name}\n    " + "\n    ".join(changed), flush=True)


if __name__ == "__main__":
    main()
