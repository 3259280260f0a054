"""Values that never change: what `@dataclass(frozen=True)` makes, at a fiftieth of its price.

    class Hardware(Frozen):
        oui: int
        model: int
        version: int = 0xFFFF

A dataclass has six methods written and compiled for it, which takes half a millisecond; a box that starts declares
eighty, a fifth of its start. Here all classes share the methods of one. Type checkers see dataclasses.
"""

from operator import attrgetter
from typing import Any, ClassVar, Self, dataclass_transform

__all__ = ["Frozen", "Ordered"]


@dataclass_transform(frozen_default=True)
class Frozen:
    """The fields are what a class annotates, its base's first. Equal are two of one class with equal fields.

    A default is one object that all share, so it must not change either. With `eq=False` each equals itself alone: for
    fields that can't be compared, such as arrays.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()
    """The fields' names, in order; `match` reads them, too."""
    _defaults: ClassVar[dict[str, Any]] = {}
    _values: ClassVar["attrgetter[Any]"] = attrgetter("__class__")
    """The fields' values, which tell one from another."""

    def __init_subclass__(cls, eq: bool = True) -> None:
        own = [name for name, kind in cls.__annotations__.items() if getattr(kind, "__origin__", None) is not ClassVar]
        cls.__match_args__ = tuple(dict.fromkeys((*cls.__match_args__, *own)))  # type: ignore[misc]
        cls._values = attrgetter(*cls.__match_args__ or ("__class__",))
        cls._defaults = cls._defaults | {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        if not eq:
            cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign]

    def __init__(self, *given: Any, **named: Any) -> None:
        names = self.__match_args__
        if named or len(given) != len(names):
            self._complete(given, named)
        self.__dict__.update(zip(names, given, strict=False))
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check what was given, or derive more from it."""

    def _complete(self, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Take what is named, and the defaults of what is not given either; `TypeError` for too few and too many."""
        names, fields = self.__match_args__, self.__dict__
        left = names[len(given) :]
        fields.update(self._defaults)
        fields.update(named)
        if len(given) > len(names) or not named.keys() <= set(left) or not fields.keys() >= set(left):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}, not {given} and {named}")

    def fields(self) -> dict[str, Any]:
        """Return them by name, in order."""
        return {name: self.__dict__[name] for name in self.__match_args__}

    def but(self, **changes: Any) -> Self:
        """Return another one that differs in these fields alone."""
        return type(self)(**self.fields() | changes)

    def __eq__(self, other: object) -> bool:
        return bool(self._values(self) == self._values(other)) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values(self))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields().items())
        return f"{type(self).__qualname__}({fields})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} never changes")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} never changes")


class Ordered(Frozen):
    """Values in the order of their fields, the first one's first."""

    def __lt__(self, other: Self) -> bool:
        return bool(self._values(self) < self._values(other)) if type(other) is type(self) else NotImplemented

    def __le__(self, other: Self) -> bool:
        return bool(self._values(self) <= self._values(other)) if type(other) is type(self) else NotImplemented

    def __gt__(self, other: Self) -> bool:
        return bool(self._values(self) > self._values(other)) if type(other) is type(self) else NotImplemented

    def __ge__(self, other: Self) -> bool:
        return bool(self._values(self) >= self._values(other)) if type(other) is type(self) else NotImplemented
