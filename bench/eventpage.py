"""docs/events.md: what JSON lines hold, of a box and of `headend cast`, from the declarations of their events.

`python -m bench.eventpage` writes it (`make events`); a test holds the page and the code together.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAGE", "page"]

ROOT = Path(__file__).parent.parent
BOX, HEAD_END = ROOT / "settop" / "events.py", ROOT / "headend" / "events.py"
PAGE = ROOT / "docs" / "events.md"
INTRODUCTION = """# What a box tells

Made by `make events` from `settop/events.py`, and tested against it: don't edit. With `--json`, `settop` writes one
JSON object a line; `event` names what happened, the other fields are listed below, in their order. New fields and
events may come; names and meanings stay. A log that takes nothing stops no reception and no boot: lines are lost
instead.
"""
HEAD_END_INTRODUCTION = """
# What `headend cast` tells

From `headend/events.py`, in the same way. `releases` holds an object for each, with `name`, `version`, `hardware`,
`image_size` and `toi_base`.
"""
JSON_TYPES = {"Version": "string", "str": "string", "bytes": "hex string", "int": "integer", "float": "number"}
JSON_TYPES |= {"bool": "boolean", "dict[str, int]": "object of integers", "tuple[OnAir, ...]": "array of objects"}
RENAMED = {("ImageFound", "release"): ("toi_base", "integer")}
"""As `fields_of` does it; a release's ID is told nowhere else."""


def page() -> str:
    """Return the whole page."""
    return INTRODUCTION + "".join(_sections(BOX)) + HEAD_END_INTRODUCTION + "".join(_sections(HEAD_END))


def _sections(source: Path) -> Iterator[str]:
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.ClassDef) and (name := _event_name(node)):
            yield f"\n## `{name}`\n\n{ast.get_docstring(node)}\n"
            rows = [f"| `{field}` | {kind} | {words} |\n" for field, kind, words in _fields(node)]
            if rows:
                yield "\n| field | type | |\n|---|---|---|\n" + "".join(rows)


def _event_name(node: ast.ClassDef) -> str:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == "event" and each.value is not None:
            return str(ast.literal_eval(each.value))
    return ""


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """Yield name, JSON type and the words below the field."""
    for at, each in enumerate(node.body):
        if not isinstance(each, ast.AnnAssign) or ast.unparse(each.target) == "event":
            continue
        name, kind = ast.unparse(each.target), ast.unparse(each.annotation)
        below = node.body[at + 1] if at + 1 < len(node.body) else None
        words = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        name, told = RENAMED.get((node.name, name), (name, JSON_TYPES.get(kind, "")))
        if told:
            yield name, told, str(words)


if __name__ == "__main__":
    PAGE.write_text(page())
