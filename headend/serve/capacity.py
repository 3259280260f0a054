"""What a log-in server says of itself: asked once a second, or told by the server."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from carousel.errors import UsageError
from headend.link.mailbox import fetch_json
from headend.rollout.pace import Feed

__all__ = ["PUSHED", "CapacityFeed", "check_capacity_url"]

PUSHED = "push:"
"""In the place of an address: the server tells us, by POST /api/rollout/capacity."""
SCHEMES = ("http", "https", "file")
TIMEOUT_S = 0.7


def check_capacity_url(url: str) -> None:
    """`UsageError` unless it is empty, or can be asked."""
    try:
        found = urlsplit(url)
    except ValueError:
        found = urlsplit("")
    if url not in ("", PUSHED) and (found.scheme not in SCHEMES or not url.isprintable() or " " in url):
        raise UsageError(f"{url!r} is no address of a capacity feed: http://..., https://..., file:///..., or {PUSHED}")


class CapacityFeed:
    """The last word of a log-in server; each is used once."""

    def __init__(self, now: Callable[[], float], tell: Callable[..., None]) -> None:
        self._now, self._tell = now, tell
        self._pushed: Feed | None = None
        self._asking: asyncio.Task[Feed] | None = None
        self._is_silent = False
        self.newest: Feed | None = None
        self.heard_s = 0.0

    def push(self, feed: Feed) -> None:
        """Take what a server tells by itself."""
        self._pushed = feed

    async def look(self, url: str) -> Feed | None:
        """Return what the server says, None if it says nothing in time."""
        if not url:
            self.newest, self._pushed, self._is_silent = None, None, False
            return None
        feed = self._take_pushed() if url == PUSHED else await self._ask(url)
        if feed is not None:
            self.newest, self.heard_s, self._is_silent = feed, self._now(), False
        return feed

    def _take_pushed(self) -> Feed | None:
        feed, self._pushed = self._pushed, None
        return feed

    async def _ask(self, url: str) -> Feed | None:
        """Ask, unless the last answer is still under way: a server that drips must not gather threads here."""
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(_fetch, url))
        done, _ = await asyncio.wait([self._asking], timeout=TIMEOUT_S)
        if not done:
            self._complain("no answer in time")
            return None
        asked, self._asking = self._asking, None
        try:
            return asked.result()
        except OSError as error:
            self._complain(str(error))
        except ValueError:  # what it said is not ours to tell
            self._complain("that is no capacity feed")
        return None

    def _complain(self, reason: str) -> None:
        if not self._is_silent:
            self._tell("trouble", reason=f"the capacity feed says nothing, so the gate slows down: {reason}")
        self._is_silent = True


def _fetch(url: str) -> Feed:
    return Feed.read(fetch_json(url, TIMEOUT_S))
