"""`headend keygen`."""

from pathlib import Path
from typing import Annotated

import typer

from carousel.errors import UsageError
from headend.pack.keys import write_key_pair, write_secret

__all__ = ["keygen"]


def keygen(
    prefix: Annotated[Path, typer.Argument(help="Writes PREFIX.key and PREFIX.pub.", metavar="PREFIX")],
    bulletin: Annotated[bool, typer.Option("--bulletin", help="A key that signs bulletins: it is online.")] = False,
    reports: Annotated[
        bool, typer.Option("--reports", help="PREFIX.secret alone: by it boxes' reports are believed.")
    ] = False,
) -> None:
    """Make an Ed25519 key pair: PREFIX.key signs releases, boxes trust PREFIX.pub. Bulletins take one of their own."""
    if reports and bulletin:
        raise UsageError("--bulletin and --reports make different keys: one at a time")
    if reports:
        secret = write_secret(prefix)
        print(f"{secret}: for `headend rollout watch --secret`; `headend rollout box-key` makes keys of boxes from it")
        return
    private, public = write_key_pair(prefix)
    if bulletin:
        print(
            f"{private}: for `headend cast --bulletin-key`; {public}: give it to boxes with `settop init "
            "--trust-bulletin`"
        )
        return
    print(f"{private}: keep it secret; {public}: give it to boxes with `settop init --trust`")
