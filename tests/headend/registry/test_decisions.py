"""What may be decided, and what is refused in a sentence."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import OperatorError
from headend.registry import decisions
from headend.registry.model import (
    Airing,
    BudgetError,
    CarouselChange,
    CarouselRecord,
    Kind,
    Record,
    ReleaseRecord,
    Role,
    SsuStream,
    State,
    TakenError,
    TokenRecord,
    UnknownError,
    Update,
)

ID, OTHER = "a" * 32, "b" * 32


def release(key=ID, length=1_000_000, **more):
    fields = {"id": key, "name": "img", "version": "1.0.0", "hardware": "00A1B2:7", "security_counter": 0}
    fields |= {"image_bytes": length, "file_bytes": 2 * length, "length_bytes": length, "packet_bytes": 1468}
    fields |= {"key_id": "00" * 8, "header": "00" * 256, "uploaded_unix_s": 1.0, "uploaded_by": "me"}
    return ReleaseRecord(**fields | more)


def carousel(name="lab", **more):
    return CarouselRecord(**{"name": name, "group": "239.255.77.1:5077", "interface": "lo", "rate_bps": 8e6} | more)


def after(state: State, *updates: Update) -> State:
    things = dict(state.things)
    for update in updates:
        things.pop((update.kind, update.key), None)
        if update.body is not None:
            things[update.kind, update.key] = Record(update.body, 1)
    return State(things)


@pytest.fixture
def state():
    empty = State()
    made = after(empty, decisions.create_carousel(empty, carousel(), {}))
    return after(made, decisions.add_release(made, release()), decisions.add_release(made, release(OTHER)))


def test_rates_on_an_interface_may_not_pass_what_it_bears(state):
    budgets = {"lo": 10e6}
    with pytest.raises(BudgetError, match=r"lo bears 10\.0 Mb/s.*8\.0 Mb/s of it: 2\.0 Mb/s is left"):
        decisions.create_carousel(state, carousel("two", group="239.255.77.2:5077", rate_bps=2.1e6), budgets)
    state = after(
        state, decisions.create_carousel(state, carousel("two", group="239.255.77.2:5077", rate_bps=2e6), budgets)
    )
    with pytest.raises(BudgetError):
        decisions.change_carousel(state, "two", budgets, CarouselChange(rate_bps=2.5e6), 0.0)
    assert decisions.change_carousel(state, "two", budgets, CarouselChange(rate_bps=1e6), 0.0).body.rate_bps == 1e6
    decisions.create_carousel(state, carousel("three", group="239.255.77.3:5077", interface="eth0"), budgets)


@given(rates=st.lists(st.floats(1e3, 5e6), max_size=12), budget=st.floats(1e4, 2e7))
def test_whatever_is_asked_for_the_budget_holds(rates, budget):
    state, budgets = State(), {"lo": budget}
    for number, rate in enumerate(rates):
        wanted = carousel(f"c{number}", group=f"239.255.77.{number + 1}:5077", rate_bps=rate)
        try:
            state = after(state, decisions.create_carousel(state, wanted, budgets))
        except BudgetError:
            assert sum(each.rate_bps for each in state.carousels) + rate > budget
    assert sum(each.rate_bps for each in state.carousels) <= budget


def test_two_carousels_have_not_one_group(state):
    with pytest.raises(TakenError, match="carousel 'lab' has 239"):
        decisions.create_carousel(state, carousel("two"), {})
    with pytest.raises(TakenError, match="another name"):
        decisions.create_carousel(state, carousel("lab", group="239.255.77.2:5077"), {})


@pytest.mark.parametrize("name", ["", "Lab", "a b", "-a", "a" * 33, "lab\n", "<b>"])
def test_names_are_plain(name):
    with pytest.raises(OperatorError, match="is no name"):
        decisions.create_carousel(State(), carousel(name), {})


def test_put_keeps_since_when_it_is_there(state):
    state = after(state, decisions.put_release(state, "lab", Airing(ID), 100.0))
    state = after(state, decisions.put_release(state, "lab", Airing(OTHER, weight=2), 200.0))
    state = after(state, decisions.put_release(state, "lab", Airing(ID, weight=3), 300.0))
    assert [(each.release, each.weight, each.aired_unix_s) for each in state.carousel("lab").airings] == [
        (ID, 3, 100.0),
        (OTHER, 2, 200.0),
    ]


def test_deadlines_must_be_possible(state):
    with pytest.raises(OperatorError, match="deadlines"):
        decisions.put_release(state, "lab", Airing(ID, deadline_s=0.5), 0.0)
    state = after(state, decisions.put_release(state, "lab", Airing(ID, deadline_s=2), 0.0))
    with pytest.raises(OperatorError, match="deadlines"):
        decisions.change_carousel(state, "lab", {}, CarouselChange(rate_bps=1e6), 0.0)


def test_a_release_on_the_air_is_not_deleted(state):
    state = after(state, decisions.put_release(state, "lab", Airing(ID), 0.0))
    with pytest.raises(TakenError, match="on the air"):
        decisions.drop_release(state, ID)
    taken = decisions.take_release(state, "lab", ID)
    assert taken.detail == decisions.put_release(state, "lab", Airing(ID), 0.0).detail
    state = after(state, taken)
    assert decisions.drop_release(state, ID).body is None
    with pytest.raises(UnknownError):
        decisions.take_release(state, "lab", ID)


def test_the_last_admin_stays():
    admin = TokenRecord("admin", Role.ADMIN, "00")
    state = after(State(), Update("allow", Kind.TOKEN, "admin", admin))
    state = after(state, decisions.add_token(state, TokenRecord("eve", Role.VIEW, "01")))
    with pytest.raises(TakenError, match="last admin"):
        decisions.drop_token(state, "admin")
    assert decisions.drop_token(state, "eve").body is None


def test_an_ssu_carousel_takes_only_what_was_packed_for_it(state):
    state = after(
        state, decisions.create_carousel(state, carousel("tv", group="239.255.0.1:1234", ssu=SsuStream()), {})
    )
    with pytest.raises(OperatorError, match="without --ssu"):
        decisions.put_release(state, "tv", Airing(ID), 0.0)
    state = after(state, decisions.add_release(state, release(has_ssu=True)))
    assert decisions.put_release(state, "tv", Airing(ID), 0.0).body.airings[0].release == ID


def test_a_clock_that_jumps_back_makes_a_release_new_and_nothing_else():
    (demand,) = decisions.demands_of([Airing(ID, aired_unix_s=1000.0)], now=50.0, now_unix_s=10.0)
    assert demand.aired_s == 50.0
    (demand,) = decisions.demands_of([Airing(ID, aired_unix_s=1000.0)], now=50.0, now_unix_s=1030.0)
    assert demand.aired_s == 20.0


def test_roles_are_ordered():
    assert Role.ADMIN.allows(Role.OPERATE)
    assert Role.OPERATE.allows(Role.OPERATE)
    assert not Role.VIEW.allows(Role.OPERATE)
    assert msgspec.json.decode(b'"operate"', type=Role) is Role.OPERATE
