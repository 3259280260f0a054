"""The API, the page and the metrics as one Starlette application: reads requests within limits, writes answers."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from carousel.errors import BootcastError
from headend.registry.model import BudgetError, RoleError, StaleError, TakenError, UnknownError
from headend.registry.releases import DiskFullError, TooLargeError
from headend.registry.store import RegistryDamagedError, RegistryFullError
from headend.serve.api import OPERATIONS
from headend.serve.doors import (
    COOKIE,
    SESSION_S,
    Doors,
    NotLoggedInError,
    TooManyError,
    WrongTokenError,
    check_role,
    is_current_by,
    is_own_host,
    is_own_page,
)
from headend.serve.metrics import CONTENT_TYPE, metrics_text
from headend.serve.operations import Answer, Call, Operation, Problem, Stream, openapi

__all__ = ["make_app"]

MAX_JSON_BYTES = 64 << 10
JSON_S = 10.0
PIECE_S = 30.0
"""How long the next piece of an upload is waited for."""
MAX_STREAMS = 32
MAX_UPLOADS = 8
STATUS_OF: tuple[tuple[type[Exception], int], ...] = (
    (UnknownError, 404),
    (TakenError, 409),
    (BudgetError, 409),
    (StaleError, 412),
    (RoleError, 403),
    (TooLargeError, 413),
    (DiskFullError, 507),
    (RegistryFullError, 507),
    (RegistryDamagedError, 503),
    (BootcastError, 422),
)
COMPLAINT = re.compile(
    r"(?:Expected `str` matching regex '(?P<pattern>.*)'|Invalid enum value '(?P<value>.*)')"
    r"(?: - at `\$\.?(?P<field>.*)`)?"
)
PATTERNS = {
    "^[a-z0-9][a-z0-9-]{0,31}$": "of a-z, 0-9 and dashes, at most 32",
    "^[0-9a-f]{32}$": "a release's ID of 32 hex digits",
    "^(first|second)$": "first or second",
    "^([01][0-9]|2[0-3]):[0-5][0-9]$": "a time of day such as 06:30",
}
TITLES = {400: "Bad request", 401: "Not logged in", 403: "Not allowed", 404: "Not found", 405: "No such verb"}
TITLES |= {408: "Too slow", 409: "Conflict", 412: "Changed meanwhile", 413: "Too large", 422: "Can't be done"}
TITLES |= {428: "If-Match is missing", 429: "Too many", 503: "Registry damaged", 507: "Disk full"}
PAGE = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Problem(Exception):  # noqa: N818  carries an answer, and is none of ours to mend
    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail


class _Busy:
    """How many of a kind are under way."""

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what, self._count = most, what, 0

    def enter(self) -> None:
        """Be one more; `_Problem` where there are too many."""
        if self._count >= self._most:
            raise _Problem(429, f"there are {self._most} {self._what} already, which is as many as there may be; wait")
        self._count += 1

    def leave(self) -> None:
        """Be one less."""
        self._count -= 1

    @contextmanager
    def one(self) -> Any:
        """Be one more for the length of a with statement."""
        self.enter()
        try:
            yield
        finally:
            self.leave()


class _Desk:
    """Turns requests into calls, and what comes of them into responses."""

    def __init__(self, doors: Doors, names: frozenset[str], is_secure: bool) -> None:
        self.doors, self._names, self._is_secure = doors, names, is_secure
        self._streams, self._uploads = _Busy(MAX_STREAMS, "listeners"), _Busy(MAX_UPLOADS, "uploads")

    def endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """Return what Starlette calls for an operation."""

        async def serve(request: Request) -> Response:
            with _explained():
                self.check_host(request)
                if operation.path == "/api/logout":
                    self.doors.end(request.cookies.get(COOKIE))
                if operation.path == "/api/login":
                    return await self._login(operation, request)
                person = self.person(request)
                check_role(person, operation.role)
                return await self._perform(operation, request, person)

        return serve

    def check_host(self, request: Request) -> None:
        """Refuse a name that is not ours."""
        if not is_own_host(request.headers.get("host", ""), self._names):
            raise _Problem(403, "this service does not go by that name: add it to `hosts` in the configuration")

    def person(self, request: Request) -> Any:
        """Return who asks; a page's write must come from our own page."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        cookie = request.cookies.get(COOKIE)
        if scheme:
            if scheme.lower() != "bearer":
                raise NotLoggedInError
            return self.doors.person(token.strip(), None)
        if cookie and request.method not in ("GET", "HEAD") and not is_own_page(request.headers):
            raise _Problem(403, "this was sent by another's page")
        return self.doors.person(None, cookie)

    async def _login(self, operation: Operation, request: Request) -> Response:
        if "origin" in request.headers and not is_own_page(request.headers):
            raise _Problem(403, "this was sent by another's page")
        wish = await _json_body(operation, request)
        person, session = self.doors.begin(wish.token)
        answer = await operation.handler(Call(self.doors.headend, person, {}, wish))
        assert isinstance(answer, Answer)
        response = _response(operation, answer)
        response.set_cookie(
            COOKIE, session, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=self._is_secure
        )
        return response

    async def _perform(self, operation: Operation, request: Request, person: Any) -> Response:
        parts: dict[str, str] = request.path_params
        is_current = _match(request) if operation.needs_match else None
        query = _query(operation, request)
        if operation.takes_file:
            if request.headers.get("content-type", "application/octet-stream") != "application/octet-stream":
                raise _Problem(400, "send the release file itself, as application/octet-stream")
            with self._uploads.one():
                call = Call(self.doors.headend, person, parts, None, query, None, _pieces(request), _length(request))
                return _response(operation, await operation.handler(call))
        body = await _json_body(operation, request) if operation.takes is not None else None
        if operation.gives_events:
            self._streams.enter()
        try:
            answer = await operation.handler(Call(self.doors.headend, person, parts, body, query, is_current))
        except BaseException:
            if operation.gives_events:
                self._streams.leave()
            raise
        if isinstance(answer, Stream):
            headers = SAFE | {"X-Accel-Buffering": "no"}
            return StreamingResponse(self._counted(answer.pieces), media_type="text/event-stream", headers=headers)
        return _response(operation, answer)

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces:
                yield piece
        finally:
            self._streams.leave()


def _match(request: Request) -> Callable[[int], bool]:
    text = request.headers.get("if-match")
    if text is None:
        raise _Problem(428, "say which state you decided on: If-Match with the ETag that a GET gave you")
    is_current = is_current_by(text)
    if is_current is None:
        raise _Problem(400, 'If-Match is no list of ETags such as "17", nor *')
    return is_current


def _query(operation: Operation, request: Request) -> Any:
    asked = dict(request.query_params)
    if operation.query is None:
        return None
    return msgspec.convert(asked, type=operation.query, strict=False)


def _length(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield an upload as it comes; who is silent too long is not waited for."""
    stream = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(PIECE_S):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _Problem(408, f"nothing came for {PIECE_S:.0f} s; upload it again") from None
        if piece:
            yield piece


async def _json_body(operation: Operation, request: Request) -> Any:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise _Problem(400, "send application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(JSON_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_JSON_BYTES:
                    raise _Problem(413, f"more than {MAX_JSON_BYTES} bytes of JSON")
    except TimeoutError:
        raise _Problem(408, "the request came too slowly") from None
    return msgspec.json.decode(bytes(body), type=operation.takes)


@contextmanager
def _explained() -> Any:
    """Turn what went wrong into a problem."""
    try:
        yield
    except WrongTokenError:
        raise _Problem(
            401,
            "this token is not known here: it was mistyped, deleted, or is another service's; `admin.token` in the "
            "data folder is the first",
        ) from None
    except NotLoggedInError:
        raise _Problem(401, "log in with a token; `admin.token` in the data folder is the first") from None
    except TooManyError as error:
        raise _Problem(429, str(error)) from None
    except ClientDisconnect:
        raise _Problem(400, "the request ended in the middle") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _Problem(400, in_words(str(error))) from None
    except BootcastError as error:
        raise _Problem(next(status for kind, status in STATUS_OF if isinstance(error, kind)), str(error)) from None


def in_words(complaint: str) -> str:
    """Say what msgspec complains of as a person would; what is not known here stays as it is."""
    found = COMPLAINT.fullmatch(complaint)
    if found is None:
        return complaint
    wanted, value, field = found["pattern"] or "", found["value"] or "", found["field"] or "the request"
    if value:
        return f"{field} can't be {value!r}"
    return f"{field} has to be {PATTERNS.get(wanted, f'of the form {wanted}')}"


def _response(operation: Operation, answer: Answer | Stream) -> Response:
    assert isinstance(answer, Answer)
    headers = dict(SAFE)
    if answer.revision is not None:
        headers["ETag"] = f'"{answer.revision}"'
    if operation.status == 204:
        response = Response(status_code=204, headers=headers)
    else:
        body = msgspec.json.encode(answer.body)
        response = Response(body, operation.status, headers, "application/json")
    if answer.cookie == "":
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _problem(request: Request, error: Exception) -> Response:
    del request
    headers = dict(SAFE)
    if isinstance(error, HTTPException):
        status, detail = error.status_code, str(error.detail)
        headers |= error.headers or {}
    else:
        assert isinstance(error, _Problem)
        status, detail = error.status, error.detail
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 429:
        headers["Retry-After"] = "1"
    problem = Problem(TITLES.get(status, "Trouble"), status, detail)
    return Response(msgspec.json.encode(problem), status, headers, "application/problem+json")


def make_app(doors: Doors, names: frozenset[str], is_secure: bool) -> Starlette:
    """Return the application; `names` are what it may be called by, besides addresses."""
    desk = _Desk(doors, names, is_secure)
    document = msgspec.json.encode(openapi(OPERATIONS))

    async def describe(request: Request) -> Response:
        del request
        return Response(document, 200, SAFE, "application/json")

    async def metrics(request: Request) -> Response:
        with _explained():
            desk.check_host(request)
            if not doors.headend.settings.has_open_metrics:
                check_role(desk.person(request), OPERATIONS[2].role)
            return Response(metrics_text(doors.headend), 200, SAFE, CONTENT_TYPE)

    routes = [Route(each.path, desk.endpoint(each), methods=[each.method]) for each in OPERATIONS]
    routes += [Route("/openapi.json", describe), Route("/metrics", metrics)]
    routes += [Route(f"/{name}", _page(desk, *PAGE[name])) for name in PAGE]
    return Starlette(routes=routes, exception_handlers={HTTPException: _problem, _Problem: _problem})


def _page(desk: _Desk, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    """Return what serves one of the page's files."""
    content = (files("headend.serve") / "page" / name).read_bytes()

    async def serve(request: Request) -> Response:
        with _explained():
            desk.check_host(request)
        return Response(content, 200, SAFE, kind)

    return serve
