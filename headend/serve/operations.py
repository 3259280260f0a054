"""One table of what the API can do makes both its routes and its OpenAPI document, so the document is true."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import msgspec

from headend.registry.model import Role
from headend.serve.headend import Headend, Person

__all__ = ["Answer", "Call", "Operation", "Problem", "Stream", "openapi"]

OPENAPI = "3.1.0"
PARAMETER = re.compile(r"\{(\w+)\}")
SENTENCES = {
    400: "The request does not follow this document.",
    401: "Nobody is logged in, or the token is unknown.",
    403: "The role does not allow it, or the page is another's.",
    404: "Nothing of this name.",
    408: "The request came too slowly.",
    409: "It collides with what there is, or an interface does not bear it.",
    412: "Somebody else changed it meanwhile; look again.",
    413: "Too large.",
    422: "It can't be done; the sentence says why.",
    428: "If-Match is missing: say which state you decided on.",
    429: "Too many at once.",
    503: "The registry is damaged: carousels go on, and nothing can be changed.",
    507: "The disk is full; nothing was changed.",
}


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457): `detail` is a sentence that says what to do."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


@dataclass(frozen=True)
class Call:
    """A request, judged: who asks, and what, in types. `pieces` is the body where the operation takes a file."""

    headend: Headend
    person: Person | None
    parts: Mapping[str, str]
    body: Any = None
    query: Any = None
    is_current: Callable[[int], bool] | None = None
    pieces: Any = None
    size_bytes: int | None = None

    @property
    def who(self) -> Person:
        """Who asks; there is somebody where the operation needs a role."""
        assert self.person is not None
        return self.person


@dataclass(frozen=True)
class Answer:
    """What comes back: a body, and the revision of what it shows."""

    body: Any = None
    revision: int | None = None
    status: int | None = None
    cookie: str | None = None
    """A session that begins; empty: it ends."""


@dataclass(frozen=True)
class Stream:
    """What comes back for as long as somebody listens: server-sent events."""

    pieces: Any


Handler = Callable[[Call], Awaitable[Answer | Stream]]


@dataclass(frozen=True)
class Operation:
    """One thing that the API can do. `role` None: for everybody."""

    method: str
    path: str
    role: Role | None
    summary: str
    handler: Handler
    gives: Any = None
    status: int = 200
    takes: Any = None
    takes_file: bool = False
    query: Any = None
    needs_match: bool = False
    gives_events: bool = False
    errors: Sequence[int] = field(default=())

    @property
    def statuses(self) -> list[int]:
        """All error statuses that it may answer with."""
        found = {400, 408, 429, *self.errors}
        if self.role is not None:
            found |= {401, 403}
        if self.method != "GET":
            found |= {403, 503, 507}
        if self.takes is not None or self.takes_file:
            found |= {413, 422}
        if self.needs_match:
            found |= {412, 428, 404, 409, 422}
        return sorted(found)


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of these operations."""
    types = [Problem]
    for each in operations:
        types += [kind for kind in (each.gives, each.takes) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _described(each, schema_of)
    return {
        "openapi": OPENAPI,
        "info": {"title": "bootcast head-end", "version": metadata.version("bootcast")},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": operation.summary}
    if operation.gives_events:
        good["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    elif operation.gives is not None:
        good["content"] = {"application/json": {"schema": schema_of[id(operation.gives)]}}
    problem = {"application/problem+json": {"schema": schema_of[id(Problem)]}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.handler.__name__,
        "parameters": _parameters(operation),
        "responses": {str(operation.status): good}
        | {str(status): {"description": SENTENCES[status], "content": problem} for status in operation.statuses},
    }
    if operation.role is not None:
        described["security"] = [{"token": []}]
        described["description"] = f"Needs the role {operation.role.value}."
    if operation.takes is not None:
        content = {"application/json": {"schema": schema_of[id(operation.takes)]}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.takes_file:
        binary = {"schema": {"type": "string", "format": "binary"}}
        described["requestBody"] = {"required": True, "content": {"application/octet-stream": binary}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        properties = msgspec.json.schema(operation.query)["$defs"][operation.query.__name__]["properties"]
        for name, schema in properties.items():
            found.append({"name": name, "in": "query", "required": False, "schema": schema})
    if operation.needs_match:
        text = 'The ETag of the state that was decided on, such as "17"; * for any.'
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
        )
    return found
