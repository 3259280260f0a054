"""Commands that only their group's tests load."""

from typing import Annotated

import typer


def greet(
    name: str, loud: bool = False, times: Annotated[int, typer.Option(envvar="BOOTCAST_TIMES", min=1)] = 1
) -> None:
    """Say hello to somebody."""
    for _ in range(times):
        print(f"Hello {name}".upper() if loud else f"Hello {name}")


def bow(depth: int = 1) -> None:
    """Bow."""
    print(depth)


def kneel(depth: Annotated[int, typer.Option(envvar="POLITE_DEPTH")]) -> None:
    """Kneel."""
    print(depth)
