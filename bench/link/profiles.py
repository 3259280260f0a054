"""Named pairs of links, down and up, from a TOML file that says where the figures come from."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bench.link.spec import LinkSpec, parse_link
from carousel.errors import OperatorError, UsageError

__all__ = ["Profile", "find_profile", "load_profiles"]

KEYS = {"down", "up", "source"}


@dataclass(frozen=True)
class Profile:
    """A kind of access link."""

    name: str
    down: LinkSpec
    up: LinkSpec
    source: str


def load_profiles(more: Path | None = None) -> dict[str, Profile]:
    """Read the profiles that ship, and a file of the user's, whose names win."""
    texts = [("profiles.toml", files("bench.link").joinpath("profiles.toml").read_text())]
    if more is not None:
        try:
            texts.append((str(more), more.read_text()))
        except OSError as error:
            raise OperatorError(f"{more} can't be read: {error.strerror}") from None
    profiles = {}
    for file, text in texts:
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise OperatorError(f"{file} is no TOML: {error}") from None
        for name, table in tables.items():
            profiles[name] = _read(file, name, table)
    return profiles


def _read(file: str, name: str, table: object) -> Profile:
    if not isinstance(table, dict) or not set(table) <= KEYS or not {"down", "up"} <= set(table):
        raise OperatorError(f"{file}: profile {name!r} needs `down` and `up`, may have `source`, and nothing else")
    return Profile(name, parse_link(str(table["down"])), parse_link(str(table["up"])), str(table.get("source", "")))


def find_profile(name: str, more: Path | None = None) -> Profile:
    """Return a profile by name."""
    profiles = load_profiles(more)
    if name not in profiles:
        raise UsageError(f"there is no profile {name!r}; there are {', '.join(profiles)}")
    return profiles[name]
