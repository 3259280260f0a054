"""`headend serve`."""

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

from carousel.console.reporter import make_reporter
from headend.casting import Clocks
from headend.commands.options import JsonOption, option
from headend.commands.teller import SERVICE_LANGUAGE
from headend.serve.serving import DEFAULT_ADDRESS, run_service
from headend.serve.settings import load_settings

__all__ = ["serve"]

SERVICE = "Service"


def local_day_s(unix_s: float) -> float:
    """Return how many seconds after midnight it is here (TZ, or as the machine is set up)."""
    local = time.localtime(unix_s)
    return local.tm_hour * 3600 + local.tm_min * 60 + min(local.tm_sec, 59)


def serve(
    data: Annotated[
        Path, option("The data folder: registry, releases, keys.", group=SERVICE, metavar="DIR", envvar="BOOTCAST_DATA")
    ],
    listen: Annotated[
        str, option("Where the API and the page are.", group=SERVICE, metavar="HOST:PORT", envvar="BOOTCAST_LISTEN")
    ] = DEFAULT_ADDRESS,
    config: Annotated[
        Path | None,
        option("What interfaces bear, limits, TLS (docs/service.md).", group=SERVICE, metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Keep carousels on the air for years: releases and decisions by HTTP, a page, metrics."""
    clocks = Clocks(time.monotonic, time.time, time.sleep, local_day_s)
    with closing(make_reporter(as_json, "headend", SERVICE_LANGUAGE)) as teller:
        run_service(data, listen, load_settings(config), clocks, os.urandom, teller.tell)
