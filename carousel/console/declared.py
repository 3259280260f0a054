"""Commands' options, declared where a command is: a function's types with these beside them, in `Annotated`.

lazy.py makes Typer's commands of them, with help, completion and manual pages; plain.py reads a plain command line by
them without Typer, whose import costs more than a carousel's start.
"""

from carousel.frozen import Frozen

__all__ = ["Argument", "Declared", "Option"]


class Argument(Frozen):
    """What stands at its place in a command line; of a list, as many as there are."""

    text: str
    metavar: str


class Option(Frozen):
    """What is given by name, in a group of the help; `least` and `most` bound a number.

    Without `names` it is called as its parameter is. A switch has its name here.
    """

    text: str
    names: tuple[str, ...] = ()
    group: str = "Options"
    metavar: str | None = None
    envvar: str | None = None
    least: float | None = None
    most: float | None = None


Declared = Argument | Option
