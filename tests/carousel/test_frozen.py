"""Values that never change, by the side of the dataclasses that they stand for."""

import copy
import pickle
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.frozen import Frozen, Ordered


class Board(Frozen):
    kind: ClassVar[str] = "board"
    oui: int
    model: "int"
    name: str = "none"

    @cached_property
    def title(self):
        return f"{self.name} {self.model}"


class Lit(Board):
    kind: ClassVar[str] = "lit"
    lamps: int = 3


class Lamp(Frozen):
    oui: int
    model: int
    name: str = "none"


class Rows(Frozen, eq=False):
    rows: list


class Even(Frozen):
    number: int

    def __post_init__(self):
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


class Version(Ordered):
    major: int
    minor: int


class Pair(Ordered):
    major: int
    minor: int


@dataclass(frozen=True)
class Like:
    oui: int
    model: int
    name: str = "none"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((1, 2), {}),
        ((1, 2, "x"), {}),
        ((1,), {"model": 2}),
        ((), {"name": "x", "model": 2, "oui": 1}),
        ((), {}),
        ((1,), {}),
        ((1, 2, "x", 4), {}),
        ((1, 2), {"oui": 1}),
        ((1, 2), {"color": 1}),
        ((1,), {"name": "x"}),
    ],
)
def test_is_made_of_what_makes_a_dataclass(given, named):
    try:
        like = Like(*given, **named)
    except TypeError:
        with pytest.raises(TypeError, match=r"Board takes oui, model, name, not"):
            Board(*given, **named)
    else:
        made = Board(*given, **named)
        assert made.fields() == vars(like)
        assert repr(made) == repr(like).replace("Like", "Board")
        assert hash(made) == hash(Board(*given, **named))


fields = st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from("ab"))


@given(fields, fields)
def test_equal_are_those_with_equal_fields(one, other):
    assert (Board(*one) == Board(*other)) is (one == other)
    assert (Board(*one) != Board(*other)) is (one != other)
    assert len({Board(*one), Board(*other)}) == len({one, other})


def test_classes_differ_whatever_their_fields():
    assert Board(1, 2) != Lamp(1, 2)
    assert Board(1, 2) != (1, 2, "none")
    assert Lit(1, 2) != Board(1, 2)


def test_a_subclass_has_its_bases_fields_first():
    assert Lit(1, 2, "x", 4).fields() == {"oui": 1, "model": 2, "name": "x", "lamps": 4}
    assert Lit(1, 2).lamps == 3
    assert (Lit(1, 2).kind, Board(1, 2).kind) == ("lit", "board")
    assert Board(1, 2).fields() == {"oui": 1, "model": 2, "name": "none"}


def test_nothing_changes():
    board = Board(1, 2)
    for name in ("oui", "kind", "color"):
        with pytest.raises(AttributeError, match=f"Board.{name} never changes"):
            setattr(board, name, 3)
        with pytest.raises(AttributeError, match=f"Board.{name} never changes"):
            delattr(board, name)
    assert board.fields() == {"oui": 1, "model": 2, "name": "none"}


def test_another_one_may_differ():
    board = Board(1, 2, "x")
    assert board.but(model=3) == Board(1, 3, "x")
    assert board == Board(1, 2, "x")
    with pytest.raises(TypeError):
        board.but(color=1)
    with pytest.raises(ValueError, match="3 is odd"):
        Even(2).but(number=3)


def test_what_is_derived_once_is_no_field():
    board = Board(1, 2, "x")
    assert board.title == "x 2"
    assert board.fields() == Board(1, 2, "x").fields()
    assert board == Board(1, 2, "x")
    assert hash(board) == hash(Board(1, 2, "x"))


def test_with_eq_false_each_equals_itself_alone():
    one, other = Rows([1]), Rows([1])
    same = one
    assert same == one
    assert one != other
    assert len({one, other}) == 2


@given(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_ordered_ones_go_by_their_fields(one, other):
    mine, yours = Version(*one), Version(*other)
    assert [mine < yours, mine <= yours, mine > yours, mine >= yours] == [
        one < other, one <= other, one > other, one >= other,
    ]  # fmt: skip


def test_other_ones_have_no_order():
    with pytest.raises(TypeError):
        assert Board(1, 2) < Board(1, 3)
    with pytest.raises(TypeError):
        assert Version(1, 2) < Pair(1, 3)


def test_match_reads_fields_by_place():
    match Board(1, 2):
        case Board(oui, model, name):
            assert (oui, model, name) == (1, 2, "none")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_equal(again):
    assert again(Lit(1, 2, "x")) == Lit(1, 2, "x")
