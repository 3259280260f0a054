"""Values that never change: what `@dataclass(frozen=True)` makes, at a fiftieth of its price.

    class Hardware(Frozen):
        oui: int
        model: int
        version: int = 0xFFFF

A dataclass has six methods written and compiled for it, which takes half a millisecond; a box that starts declares
eighty, a fifth of its start. Here all classes share the methods of one. Type checkers see dataclasses.
"""

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

    def __init_subclass__(cls, eq: bool = True) -> None:
        own = [name for name, kind in cls.__annotations__.items() if getattr(kind, "__origin__", None) is not ClassVar]
        cls.__match_args__ = tuple(dict.fromkeys((*cls.__match_args__, *own)))  # type: ignore[misc]
        cls._defaults = cls._defaults | {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        if not eq:
            cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign]

    def __init__(self, *given: Any, **named: Any) -> None:
        if named or len(given) != len(self.__match_args__):
            given = self._completed(given, named)
        self.__dict__.update(zip(self.__match_args__, given, strict=True))
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check what was given, or derive more from it."""

    def _completed(self, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        by_place = dict(zip(self.__match_args__, given, strict=False))
        fields = self._defaults | by_place | named
        if len(given) > len(by_place) or by_place.keys() & named.keys() or fields.keys() != set(self.__match_args__):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.__match_args__)}, not {given} and {named}")
        return tuple(fields[name] for name in self.__match_args__)

    def fields(self) -> dict[str, Any]:
        """Return them by name, in order."""
        return {name: self.__dict__[name] for name in self.__match_args__}

    def but(self, **changes: Any) -> Self:
        """Return another one that differs in these fields alone."""
        return type(self)(**self.fields() | changes)

    @property
    def _values(self) -> tuple[Any, ...]:
        return tuple(map(self.__dict__.__getitem__, self.__match_args__))

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values)

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
        return self._values < other._values

    def __le__(self, other: Self) -> bool:
        return self._values <= other._values

    def __gt__(self, other: Self) -> bool:
        return self._values > other._values

    def __ge__(self, other: Self) -> bool:
        return self._values >= other._values
