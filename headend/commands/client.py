"""The service's API from a shell: one request at a time, and what it refuses in a sentence."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from carousel.errors import OperatorError, UsageError

__all__ = ["Client", "token_path"]

PATIENCE_S = 30.0
UPLOAD_PATIENCE_S = 600.0


def token_path() -> Path:
    """Return where `headend ctl login` keeps the token."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "bootcast" / "token"


@dataclass
class Client:
    """Asks one service. `revision` is that of what was shown last: what the next change is decided on."""

    url: str
    token_file: Path | None
    revision: str = "*"

    def get(self, *parts: str) -> Any:
        """Fetch something; remembers its revision."""
        return self.ask("GET", *parts)

    def ask(self, method: str, *parts: str, body: Any = None, file: Path | None = None) -> Any:
        """Send a request; `OperatorError` with the service's sentence where it says no."""
        path = "/".join(quote(part, safe="") for part in parts)
        headers = {"Authorization": f"Bearer {self._token()}"}
        if method in ("PUT", "PATCH", "DELETE"):
            headers["If-Match"] = self.revision
        if file is not None:
            headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
            with file.open("rb") as opened:
                return self._send(urllib.request.Request(f"{self.url}/api/{path}", opened, headers, method=method))
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self._send(urllib.request.Request(f"{self.url}/api/{path}", data, headers, method=method))

    def _send(self, request: urllib.request.Request) -> Any:
        has_file = request.data is not None and not isinstance(request.data, bytes)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=UPLOAD_PATIENCE_S if has_file else PATIENCE_S) as answer:
                self.revision = answer.headers.get("ETag", "*")
                raw = answer.read()
        except urllib.error.HTTPError as error:
            raise OperatorError(_sentence_of(error)) from None
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise OperatorError(f"{self.url} does not answer ({reason}): does `headend serve` run there?") from None
        return json.loads(raw) if raw else None

    def _token(self) -> str:
        path = self.token_file or token_path()
        try:
            token = path.read_text().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            token = ""
        if not token.isascii() or len(token.split()) != 1:
            raise OperatorError(
                f"{path} holds no token: `headend ctl login`, or --token-file DIR/admin.token of the service"
            )
        return token

    def check_url(self) -> None:
        """`UsageError` where the address can't be one."""
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise UsageError(f"{self.url!r} is no address such as http://127.0.0.1:8377")


def _sentence_of(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError, HTTPException):
        return f"the service answers {error.code} {error.reason}"
