"""What is asked of mutmut, in a folder that has its settings: make a room's mutants, show what some of them change.

python -m tests.mutants.library make
python -m tests.mutants.library show NAME...
"""

import json
import sys
from pathlib import Path

from mutmut import __main__ as mutmut
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant


def make() -> None:
    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(1)


def show(names: list[str]) -> None:
    """Print for each mutant a line with its name, what its function said, and what it says instead."""
    files = {}
    for path in mutmut.walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        files |= dict.fromkeys(data.exit_code_by_key, path)
    for name in names:
        lines = get_diff_for_mutant(name, path=files[name]).splitlines()[2:]
        was, says = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
        print(json.dumps([name, was, says]), flush=True)


if __name__ == "__main__":
    make() if sys.argv[1] == "make" else show(sys.argv[2:])
