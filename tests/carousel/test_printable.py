from hypothesis import given
from hypothesis import strategies as st

from carousel.printable import printable


@given(st.text())
def test_nothing_moves_a_cursor_or_begins_a_line(text):
    assert printable(text).isprintable()


def test_what_is_printable_stays():
    assert printable("kernel-6.1 [β] é") == "kernel-6.1 [β] é"
    assert printable("a\x1b[31m\n\u202e") == r"a\x1b[31m\n\u202e"
