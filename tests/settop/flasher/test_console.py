from hypothesis import given
from hypothesis import strategies as st

from settop.flasher.console import FrameFilter
from settop.flasher.frames import Message, build_frame
from settop.flasher.slip import slip_encode

FRAME = slip_encode(build_frame(Message.HELLO, 1, protocol=1))
text = st.binary(max_size=50).map(lambda data: data.replace(b"\xc0", b"-"))


def shown(data, at):
    console = FrameFilter()
    return console.feed(data[:at]) + console.feed(data[at:]) + console.give_up()


@given(text, text, st.integers(0, 120))
def test_frames_are_left_out_and_text_is_not(before, after, at):
    assert shown(before + FRAME + after, at) == before + after


@given(st.binary(max_size=200), st.integers(0, 200))
def test_what_is_no_frame_is_shown(data, at):
    assert shown(data, at) == data


def test_text_is_shown_at_once():
    console = FrameFilter()
    assert [console.feed(bytes([byte])) for byte in b"login"] == [b"l", b"o", b"g", b"i", b"n"]
