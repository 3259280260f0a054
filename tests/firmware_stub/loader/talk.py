"""Talk to the loader of a board by whole frames."""

from settop.flasher.frames import MAX_FRAME_BYTES, Message, build_frame, parse_frame, parse_payload
from settop.flasher.slip import SlipDecoder, slip_encode


def started(board):
    """A board in its loader, its announcement read."""
    board.loader_start(7, 1)
    board.take_output()
    return board


def ask(board, message, tail=b"", **fields):
    """Say a frame; return the fields of its one answer."""
    wrapped = slip_encode(build_frame(message, 1, tail, **fields))
    board.loader_receive(wrapped, len(wrapped))
    frames = [parse_frame(piece) for piece in SlipDecoder(MAX_FRAME_BYTES).feed(board.take_output())]
    (answer,) = [frame for frame in frames if frame.type is not Message.BUSY]
    return parse_payload(answer)[0]
