"""Some hours in virtual time, some seconds of real processes; `make soak` and `make soak-live` take longer."""

from dataclasses import replace
from itertools import count

import pytest

from bench.siege import livesoak, soak
from bench.siege.livesoak import Household, Vitals
from bench.siege.soak import Hour, a_life


@pytest.mark.slow
def test_nothing_grows_in_a_few_hours():
    seed = 2
    print(f"seed {seed}")
    with a_life(seed) as life:
        hours = [life.hour() for _ in range(5)]
    assert soak.has_grown(hours) == []
    assert all(hour.boots > 10 for hour in hours)
    assert all(hour.installs > 0 for hour in hours)
    assert max(hour.events for hour in hours) < 40, "what is told does not grow with packets"


@pytest.mark.parametrize(
    ("field", "more", "said"),
    [("descriptors", 1, "descriptors"), ("files", 1, "files"), ("python_bytes", 900_000, "memory")],
)
def test_what_grows_is_noticed(field, more, said):
    flat = [Hour(1_000_000, 6, 9, 6, 30, 2)] * 12
    assert soak.has_grown(flat) == []
    grown = [replace(hour, **{field: getattr(hour, field) + more * (number > 8)}) for number, hour in enumerate(flat)]
    assert soak.has_grown(grown) == [said]


def test_what_a_process_gathers_is_noticed():
    early = Vitals("headend cast", 50 << 20, 9, 500)
    assert livesoak.has_grown([early], [early], 1) == []
    late = Vitals("headend cast", 60 << 20, 10, 500_000)
    assert len(livesoak.has_grown([early], [late], 1)) == 3


@pytest.mark.processes
@pytest.mark.long
def test_commands_at_random_stop_no_boot(tmp_path):
    """Real commands side by side on one box, killed at times; the seed gives their order, not what they meet."""
    seed = 5
    print(f"seed {seed}")
    household = Household(tmp_path, seed)
    with household.at_home():
        for act in count(1):
            household.act()
            if act >= 80 and household.outcomes.total() > 10:  # on a busy machine commands take longer
                break
        household.settle()
        assert len(household.vitals()) == 2
    print(dict(household.outcomes))
