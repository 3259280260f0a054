from hypothesis import given
from hypothesis import strategies as st

from carousel.flute.toi import HEADER_TOI_OFFSET, base_of_toi, header_toi, toi_base
from carousel.release.identity import ReleaseId
from carousel.release.limits import MAX_LEVELS


@given(st.binary(min_size=16, max_size=16).map(ReleaseId))
def test_a_base_leaves_room_for_the_objects(release):
    base = toi_base(release)
    assert base == int.from_bytes(release.digest[:4], "big") & ~7
    assert header_toi(release) == base + HEADER_TOI_OFFSET
    assert {base_of_toi(base + offset) for offset in range(8)} == {base}
    assert MAX_LEVELS < HEADER_TOI_OFFSET
