"""The service's configuration file."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from carousel.console.quantities import parse_rate_bps, parse_size_bytes
from carousel.errors import OperatorError

__all__ = ["Settings", "load_settings"]

MAX_UPLOAD = "8G"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`service.toml` as it is written: not `headend.toml`, which holds options of every command."""

    interfaces: dict[str, str] = {}
    hosts: list[str] = []
    upload: str = MAX_UPLOAD
    open_metrics: bool = False
    reports: str = ""
    reports_per_s: Annotated[float, msgspec.Meta(ge=0.01, le=10_000)] = 20.0
    tls_certificate: str = ""
    tls_key: str = ""
    requests: Annotated[int, msgspec.Meta(ge=4, le=10_000)] = 128


class Settings(msgspec.Struct, frozen=True):
    """What an operator says of the machine: `budgets_bps` by interface, the names it is called by, limits.

    `reports` is where boxes' reports come in, ADDRESS:PORT; empty: nowhere.
    """

    budgets_bps: dict[str, float]
    hosts: tuple[str, ...]
    largest_upload_bytes: int
    has_open_metrics: bool
    tls: tuple[str, str] | None
    most_requests: int
    reports: str = ""
    reports_per_s: float = 20.0


def load_settings(path: Path | None) -> Settings:
    """Read a configuration; `OperatorError` says what is wrong with it. None: all as it comes."""
    try:
        said = msgspec.convert(tomllib.loads(path.read_text()) if path else {}, type=_File)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise OperatorError(f"{path}: {error}; docs/service.md lists what may stand there") from None
    if bool(said.tls_certificate) is not bool(said.tls_key):
        raise OperatorError(f"{path}: TLS needs tls_certificate and tls_key, both")
    return Settings(
        budgets_bps={name: parse_rate_bps(rate) for name, rate in said.interfaces.items()},
        hosts=tuple(said.hosts),
        largest_upload_bytes=parse_size_bytes(said.upload),
        has_open_metrics=said.open_metrics,
        tls=(said.tls_certificate, said.tls_key) if said.tls_key else None,
        most_requests=said.requests,
        reports=said.reports,
        reports_per_s=said.reports_per_s,
    )
