import numpy as np

from carousel.flute.alc import join_payload_id, parse_packet
from carousel.release.blocks import FecId
from headend.pack.render import render_block
from tests.conftest import noise


def test_rendered_packets_are_read_by_the_cold_path():
    symbols = np.frombuffer(noise(5 * 64), dtype=np.uint8).reshape(5, 64)
    packets = render_block(symbols, tsi=9, toi=16, sbn=3, fec=FecId.RAPTORQ)
    for esi, raw in enumerate(packets):
        packet = parse_packet(raw.tobytes())
        assert (packet.tsi, packet.toi, packet.codepoint) == (9, 16, 6)
        assert packet.payload_id == join_payload_id(3, esi, FecId.RAPTORQ)
        assert packet.symbol == symbols[esi].tobytes()
        assert packet.crc is not None
