"""Bugs put in by a program (mutmut), one at a time: does a test of that room notice? `make mutants`.

    python -m tests.mutants --room settop/store --sample 200 --seed 1

Each room is judged by its own tests alone, those of the same name in `tests/`: they are what its readers look at. It
works on a copy in `mutants-out/`, in an order drawn by the seed, goes on where it was ended, and prints what survived.
What is left alone: properties and other decorated functions, what stands outside of functions, and sentences, which are
for people. Tests that are marked as slow judge with `--slow` alone, and none once they sum up to `--budget` seconds: at
worst too much is said to survive.
"""

import argparse
import ast
import ctypes
import json
import math
import random
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("carousel/release", "settop/stitch", "settop/wire", "settop/boot", "settop/store")
SOURCES = ("carousel", "settop", "headend", "bench")
BESIDE = ("firmware_stub", "native_build", "docs", "examples", "README.md", "Makefile")
SETTINGS = """
[tool.mutmut]
source_paths = {sources}
only_mutate = ["{room}/*"]
also_copy = {beside}
do_not_mutate_patterns = ['raise (OperatorError|UsageError|ValueError|OSError|FormatError)']
"""
"""The words of an error are for people; that it is raised is mutated where that is decided."""
NOTICED = {"killed", "timeout"}
EXPLAINED = tomllib.loads((Path(__file__).parent / "explained.toml").read_text())["explained"]
DROP_FROM_BOUNDING_SET, MAY_REBOOT = 24, 22  # linux/prctl.h, linux/capability.h


def copy_of(room: str) -> Path:
    """Copy what git knows, and the native core, for one room; make its mutants."""
    folder = ROOT / "mutants-out" / room.replace("/", "-")
    for stale in (folder / "tests", folder / "mutants" / "tests"):
        shutil.rmtree(stale, ignore_errors=True)
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(words, cwd=ROOT, text=True).split("\0")
    for name in [*filter(None, listed), "carousel/native/libcarousel.so"]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    with (folder / "pyproject.toml").open("a") as config:
        config.write(SETTINGS.format(room=room, sources=json.dumps(SOURCES), beside=json.dumps(BESIDE)))
    library(folder, "make")
    return folder


def library(folder: Path, *words: str) -> str:
    return subprocess.check_output([sys.executable, "-m", "tests.mutants.library", *words], cwd=folder, text=True)


def mutants_of(folder: Path) -> dict[str, str]:
    """Return all mutants, each with a hash of the function that it is one of."""
    found: dict[str, str] = {}
    for path in sorted((folder / "mutants").rglob("*.meta")):
        meta = json.loads(path.read_text())
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(path.with_suffix("").read_text()))
            if isinstance(node, ast.FunctionDef)
        }
        for name in meta["exit_code_by_key"]:
            module, _, mutant = name.rpartition(".")
            function = mutant.rpartition("__mutmut_")[0]
            if not _says_the_same(functions[f"{function}__mutmut_orig"], functions[mutant]):
                found[f"{module}.{mutant}"] = meta["hash_by_function_name"][function]
    return found


class _Sentences(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        is_sentence = isinstance(node.value, str) and " " in node.value
        return ast.Constant("a sentence") if is_sentence else node


def _says_the_same(function: ast.FunctionDef, mutant: ast.FunctionDef) -> bool:
    """Say whether two functions differ in nothing but sentences, which are for people."""
    bodies = [ast.Module([*map(_Sentences().visit, each.body)], []) for each in (function, mutant)]
    return ast.dump(bodies[0]) == ast.dump(bodies[1])


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    centre, half = hits + z * z / 2, z * math.sqrt(hits * (of - hits) / of + z * z / 4)
    return (centre - half) / (of + z * z), (centre + half) / (of + z * z)


class Room:
    """A room's mutants, and what is known of them."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.folder = copy_of(room)
        self.mutants = mutants_of(self.folder)
        self._known = self.folder / "verdicts.jsonl"

    def verdicts(self) -> dict[str, str]:
        """Return the last verdict on each mutant whose function is still what it was."""
        found = {}
        if self._known.exists():
            for line in self._known.read_text().splitlines():
                each = json.loads(line)
                if self.mutants.get(each["mutant"]) == each["function"]:
                    found[each["mutant"]] = each["verdict"]
        return found

    def judge(self, names: list[str], budget_s: float, markers: str) -> None:
        """Let these be judged."""
        todo, said = self.folder / "todo", self.folder / "said.jsonl"
        todo.write_text("\n".join(names))
        said.write_text("")
        words = [sys.executable, "-m", "tests.mutants.judge", self.room, str(todo), str(said), str(budget_s)]
        words.append(markers)
        try:
            subprocess.run(words, cwd=self.folder / "mutants", check=True)
        finally:
            with self._known.open("a") as known:
                for line in said.read_text().splitlines():
                    each = json.loads(line)
                    known.write(json.dumps({**each, "function": self.mutants[each["mutant"]]}) + "\n")

    def tell(self, chosen: list[str]) -> None:
        """Print what became of the chosen ones, and what the survivors change."""
        found = self.verdicts()
        judged = [name for name in chosen if name in found]
        if not judged:
            return
        survivors = sorted(name for name in judged if found[name] not in NOTICED)
        changes = (
            [json.loads(line) for line in library(self.folder, "show", *survivors).splitlines()] if survivors else []
        )
        open_ones = [change for change in changes if not is_explained(*change)]
        explained, noticed = len(changes) - len(open_ones), len(judged) - len(survivors)
        low, high = wilson(noticed, len(judged) - explained)
        is_sample = len(judged) < len(self.mutants)
        print(
            f"{self.room}: {len(judged)} of {len(self.mutants)} mutants judged; {noticed} noticed, {explained} change "
            f"nothing that can be seen, {len(open_ones)} open; of what can be seen, noticed: "
            f"{noticed / (len(judged) - explained):.1%}" + (f" (95 %: {low:.1%} to {high:.1%})" if is_sample else ""),
            flush=True,
        )
        for name, was, says in open_ones:
            print(f"  {name}\n    - {was}\n    + {says}", flush=True)


def is_explained(name: str, was: str, says: str) -> bool:
    """Say whether a surviving mutant is known to change nothing that can be seen (explained.toml)."""
    module, _, mutant = name.rpartition(".")
    function = mutant.rpartition("__mutmut_")[0][2:].replace("ǁ", ".")  # x_function, xǁClassǁmethod
    text = f"{module}.{function}: {was} => {says}"
    return any(re.search(like, text) for each in EXPLAINED for like in each["like"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--room", action="append", choices=ROOMS)
    parser.add_argument("--sample", type=int, help="so many of each room, the first of the seed's order; else all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds of tests for a mutant")
    parser.add_argument("--again", action="store_true", help="judge those that survived anew")
    parser.add_argument("--slow", action="store_true", help="let tests that are marked as slow judge, too")
    given = parser.parse_args()
    # a mutant of what restarts a machine must not restart this one
    ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, MAY_REBOOT)
    for name in given.room or ROOMS:
        room = Room(name)
        chosen = sorted(room.mutants)
        random.Random(given.seed).shuffle(chosen)
        chosen = chosen[: given.sample]
        known = room.verdicts()
        left = [each for each in chosen if each not in known or (given.again and known[each] not in NOTICED)]
        if left:
            room.judge(left, given.budget, "" if given.slow else "not slow")
        room.tell(chosen)


if __name__ == "__main__":
    main()
