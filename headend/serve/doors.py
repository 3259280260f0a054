"""Who may come in: tokens, sessions of the page, names that the service goes by, and how often one may guess. Pure."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from headend.registry.model import Role, RoleError
from headend.serve.headend import Headend, Person, token_hash

__all__ = [
    "COOKIE",
    "Doors",
    "NotLoggedInError",
    "TooManyError",
    "WrongTokenError",
    "check_role",
    "is_current_by",
    "is_own_host",
    "is_own_page",
]

COOKIE = "bootcast_session"
SESSION_S = 12 * 3600.0
MAX_SESSIONS = 1000
SESSION_BYTES = 24
GUESSES = 10
GUESS_S = 1.0
"""After so many wrong tokens, one a second; whoever has a right one is let in all the same."""
ETAG = re.compile(r'"(\d{1,18})"')


class NotLoggedInError(Exception):
    """No token, or a session that is over."""


class WrongTokenError(NotLoggedInError):
    """A token that is not known."""


class TooManyError(Exception):
    """Too many at once; the sentence says of what."""


@dataclass
class Doors:
    """Sessions and guesses; time and randomness are arguments."""

    headend: Headend
    now: Callable[[], float]
    random: Callable[[int], bytes]
    _sessions: dict[str, tuple[str, float]] = field(default_factory=dict)
    _guesses: float = 0.0
    _guessed_s: float = 0.0

    def person(self, token: str | None, cookie: str | None) -> Person | None:
        """Return who it is, by a token or by a session; None: nobody said. `WrongTokenError`, `TooManyError`."""
        if token is not None:
            return self._by_token(token)
        if cookie is None:
            return None
        name_hash, until_s = self._sessions.get(cookie, ("", 0.0))
        if self.now() >= until_s:
            self._sessions.pop(cookie, None)
            return None
        return self.headend.person_of_hash(name_hash)

    def _by_token(self, token: str) -> Person:
        person = self.headend.person_of_hash(token_hash(token))
        if person is not None:
            return person
        now = self.now()
        self._guesses = max(0.0, self._guesses - (now - self._guessed_s) / GUESS_S)
        self._guessed_s = now
        if self._guesses >= GUESSES:
            raise TooManyError("too many wrong tokens: wait a second")
        self._guesses += 1
        raise WrongTokenError

    def begin(self, token: str) -> tuple[Person, str]:
        """Begin a session; return whose, and what its cookie holds."""
        person, now = self._by_token(token), self.now()
        self._sessions = {key: each for key, each in self._sessions.items() if each[1] > now}
        if len(self._sessions) >= MAX_SESSIONS:
            raise TooManyError("too many sessions: log out somewhere, or wait")
        session = self.random(SESSION_BYTES).hex()
        self._sessions[session] = token_hash(token), now + SESSION_S
        return person, session

    def end(self, cookie: str | None) -> None:
        """End a session."""
        self._sessions.pop(cookie or "", None)


def check_role(person: Person | None, needed: Role | None) -> None:
    """`NotLoggedInError`, or `RoleError` in a sentence."""
    if needed is None:
        return
    if person is None:
        raise NotLoggedInError
    if not person.role.allows(needed):
        raise RoleError(f"{person.name} may {person.role.value}; this needs the role {needed.value}")


def is_own_host(host: str, names: frozenset[str]) -> bool:
    """Say whether a Host header is one of ours.

    Another's page may point its own name here (DNS rebinding); it can't do that with an address.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Say whether a page's write comes from our own page: browsers send Origin with each."""
    origin = headers.get("origin", "")
    return urlsplit(origin).netloc == headers.get("host", "") and origin != ""


def is_current_by(if_match: str) -> Callable[[int], bool] | None:
    """Read an If-Match header (RFC 9110 13.1.1); None where it can't be read. Weak tags match nothing.

    What is not there at all is refused by who decides.
    """
    text = if_match.strip()
    if text == "*":
        return lambda revision: True
    tags = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r'(W/)?"[^"]*"', tag) for tag in tags):
        return None
    revisions = {int(found[1]) for tag in tags if (found := ETAG.fullmatch(tag))}
    return lambda revision: revision in revisions
