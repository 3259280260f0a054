from hypothesis import given
from hypothesis import strategies as st

from settop.flasher.frames import MAX_FRAME_BYTES, Message, build_frame, parse_frame, parse_payload
from settop.flasher.slip import SlipDecoder, slip_encode

u32 = st.integers(0, 2**32 - 1)


@given(st.integers(0, 65535), u32, st.binary(max_size=1024))
def test_what_is_built_is_parsed(seq, offset, tail):
    frame = parse_frame(build_frame(Message.DATA, seq, tail, offset=offset))
    fields, rest = parse_payload(frame)
    assert (frame.type, frame.seq, fields.offset, rest) == (Message.DATA, seq, offset, tail)


@given(st.binary(max_size=100), st.integers(0, 10_000))
def test_any_flipped_bit_spoils_a_frame(tail, bit):
    raw = bytearray(build_frame(Message.DATA, 7, tail, offset=1))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    assert parse_frame(bytes(raw)) is None


@given(st.binary(max_size=2 * MAX_FRAME_BYTES))
def test_any_bytes_are_a_frame_or_none(raw):
    frame = parse_frame(raw)
    assert frame is None or parse_payload(frame) is None or len(raw) <= MAX_FRAME_BYTES


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=6), st.lists(st.integers(0, 600), max_size=6))
def test_slip_gives_back_frames_however_the_stream_is_cut(frames, cuts):
    stream = b"".join(map(slip_encode, frames))
    decoder, found, begin = SlipDecoder(MAX_FRAME_BYTES), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        found += decoder.feed(stream[begin : max(begin, cut)])
        begin = max(begin, cut)
    assert found == frames


def test_an_endless_stream_without_an_end_is_let_go():
    decoder = SlipDecoder(100)
    for _ in range(1000):
        decoder.feed(bytes(50))
    assert len(decoder.take_pending()) <= 250


def test_a_payload_that_is_too_short_is_none():
    whole = parse_frame(build_frame(Message.OK, 1))
    assert parse_payload(whole) is not None
    wrong = type(whole)(Message.BAUD, 1, b"\1\2")
    assert parse_payload(wrong) is None
