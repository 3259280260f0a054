"""Receive and install."""

import argparse
import time
from pathlib import Path

from settop.commands.reporting import reporting
from settop.options import Outcome, ReceiveOptions
from settop.store.folder import BoxFolder

__all__ = ["options_of", "receive"]

EXIT_NOTHING_HEARD = 3
EXIT_ONLY_REFUSED = 4


def options_of(arguments: argparse.Namespace) -> ReceiveOptions:
    """Return what the command line asks of a reception."""
    return ReceiveOptions(
        endpoint=arguments.group,
        interface=arguments.interface,
        source=arguments.source,
        timeout_s=arguments.timeout,
        tsi=arguments.tsi,
        is_ssu=arguments.ssu,
        is_rtp=arguments.rtp,
        oui=arguments.oui,
        drop=arguments.drop,
        drop_seed=arguments.drop_seed,
        use_gro=not arguments.no_gro,
        use_fec=not arguments.no_fec,
        workers=arguments.workers,
        core=arguments.core,
        memory_bytes=arguments.memory,
        allows_older=arguments.allow_older,
    )


def receive(store: Path, options: ReceiveOptions, as_json: bool, metrics: Path | None = None) -> int:
    """Install the best acceptable image on the air."""
    from settop.session import receive_and_install  # noqa: PLC0415  a quarter of a second, and only who receives needs it

    box = BoxFolder(store)
    with box.locked(), reporting(as_json, store, metrics) as reporter:
        outcome, _ = receive_and_install(box, options, reporter, time.monotonic)
    return {Outcome.NOTHING: EXIT_NOTHING_HEARD, Outcome.REFUSED: EXIT_ONLY_REFUSED}.get(outcome, 0)
