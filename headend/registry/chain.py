"""The audit log's chain: each line is hashed with the hash of the line before, so nothing can be changed or left out.

    hash(n) = SHA-256(hash(n-1) ‖ line(n)),  hash(0) = 32 zero bytes

Whoever keeps one hash elsewhere can prove all lines before it. Cutting the end off is seen by nothing else.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["START", "Link", "Verdict", "line_of", "next_hash", "verify"]

Things = dict[tuple[str, str], Any]


@dataclass(frozen=True)
class Link:
    """Where a chain has come to."""

    number: int
    hash: bytes


START = Link(0, bytes(32))


def line_of(fields: dict[str, Any]) -> str:
    """Write an entry, the same bytes for the same entry."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def next_hash(before: Link, line: str) -> Link:
    """Go on by one line."""
    return Link(before.number + 1, hashlib.sha256(before.hash + line.encode()).digest())


@dataclass(frozen=True)
class Verdict:
    """What a check of the whole chain found: `problem` is a sentence, empty if it is sound."""

    entries: int
    head: str
    problem: str = ""


def verify(rows: Iterable[tuple[int, str, bytes]], things: Things) -> Verdict:
    """Check the chain, and that what the registry holds is what the lines made of it.

    `rows` are (number, line, hash) in order; `things` has the registry's bodies by (kind, key).
    """
    link, built = START, Things()
    for number, line, stored in rows:
        following = next_hash(link, line)
        if number != following.number:
            return Verdict(link.number, link.hash.hex(), f"entry {following.number} is missing")
        if stored != following.hash:
            return Verdict(link.number, link.hash.hex(), f"entry {number} was changed, or what is before it")
        link = following
        fields = json.loads(line)
        if fields["body"] is None:
            built.pop((fields["kind"], fields["key"]), None)
        else:
            built[fields["kind"], fields["key"]] = fields["body"]
    if built != things:
        differing = sorted(name for name in built.keys() | things.keys() if built.get(name) != things.get(name))
        kind, key = differing[0]
        return Verdict(link.number, link.hash.hex(), f"{kind} {key} is not as the log says")
    return Verdict(link.number, link.hash.hex())
