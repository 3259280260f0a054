"""Scapy's layers, the construct formats and tshark read the same packets the same way, field for field."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from scapy.utils import wrpcap

from bench.capture.layers import LCT, ExtCrc, ExtFdt, ExtFtiNoCode, ExtFtiRaptorQ, bind_port
from carousel.flute import alc
from carousel.flute.alc import Extension, parse_packet, render_packet, split_payload_id
from carousel.release.blocks import FecId

DECLARED = {ExtFdt: alc.ExtFdt, ExtFtiNoCode: alc.ExtFtiNoCode, ExtFtiRaptorQ: alc.ExtFtiRaptorQ}
u32 = st.integers(0, 2**32 - 1)
fdt = st.builds(
    lambda instance: (int(Extension.FDT), alc.ExtFdt.build({"version": 2, "instance": instance})),
    st.integers(0, 2**20 - 1),
)
fti_no_code = st.builds(
    lambda length, size, block: (
        int(Extension.FTI),
        alc.ExtFtiNoCode.build({"transfer_length": length, "symbol_size": size, "max_block_symbols": block}),
    ),
    st.integers(0, 2**48 - 1),
    st.integers(0, 65535),
    u32,
)
fti_raptorq = st.builds(
    lambda length, size, blocks: (
        int(Extension.FTI),
        alc.ExtFtiRaptorQ.build(
            {"transfer_length": length, "symbol_size": size, "source_blocks": blocks, "sub_blocks": 1, "alignment": 8}
        ),
    ),
    st.integers(0, 2**40 - 1),
    st.integers(0, 65535),
    st.integers(0, 255),
)
variable = st.tuples(
    st.sampled_from([1, 63, 100, 127]), st.sampled_from([2, 6, 14]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
)
other = st.one_of(variable, st.tuples(st.sampled_from([128, 191, 255]), st.binary(min_size=3, max_size=3)))


def rendered(codepoint, fti):
    return st.builds(
        lambda tsi, toi, payload_id, symbol, extensions: render_packet(
            tsi, toi, codepoint, payload_id, symbol, tuple(extensions)
        ),
        u32,
        u32,
        u32,
        st.binary(max_size=60),
        st.lists(st.one_of(fdt, fti, other), max_size=3),
    )


packets = st.one_of(rendered(FecId.NO_CODE, fti_no_code), rendered(FecId.RAPTORQ, fti_raptorq))


@given(packets)
def test_scapy_and_construct_agree_on_every_field(raw):
    theirs, ours = LCT(raw), parse_packet(raw)
    assert bytes(theirs) == raw
    assert (theirs.version, theirs.codepoint, theirs.cci) == (1, ours.codepoint, ours.cci)
    assert (theirs.tsi, theirs.toi) == (ours.tsi, ours.toi)
    assert (bool(theirs.A), bool(theirs.B)) == (ours.close_session, ours.close_object)
    assert [extension.het for extension in theirs.extensions] == [het for het, _ in ours.extensions]
    assert (theirs.payload.sbn, theirs.payload.esi) == split_payload_id(ours.payload_id, FecId(ours.codepoint))
    assert (bytes(theirs[Raw]) if Raw in theirs else b"") == ours.symbol
    for extension, (_, content) in zip(theirs.extensions, ours.extensions, strict=True):
        same_extension(extension, content, ours)


def same_extension(extension, content, ours):
    if isinstance(extension, ExtCrc):
        assert extension.crc == ours.crc
        return
    declared = DECLARED.get(type(extension))
    if declared is None:
        assert bytes(extension)[-len(content) :] == content
        return
    fields = vars(declared.parse(content))
    for name in (name for name in fields if not name.startswith("_")):
        assert getattr(extension, name) == fields[name], name


@given(st.binary(max_size=120))
def test_any_bytes_to_the_port_are_dissected(raw):
    bind_port(5077)
    datagram = bytes(UDP(sport=1, dport=5077) / Raw(raw))
    assert bytes(UDP(datagram)) == datagram


@pytest.mark.tshark
def test_tshark_agrees_with_both(tmp_path):
    """A hundred packets of all kinds in one capture, every field that tshark shows."""
    shown: list[bytes] = []

    @given(st.lists(packets, min_size=100, max_size=100))
    def collect(drawn):
        shown[:] = [raw for raw in drawn if len(raw) > 36]

    from hypothesis import Phase, settings

    settings(max_examples=3, phases=[Phase.generate], deadline=None, database=None)(collect)()
    bind_port(5077)
    wrpcap(str(tmp_path / "x.pcap"), [IP(dst="239.255.77.1") / UDP(sport=4, dport=5077) / Raw(raw) for raw in shown])
    names = ["version", "tsi", "toi", "codepoint", "hlen", "cci", "flags.close_session", "flags.close_object"]
    fields = [f"rmt-lct.{name}" for name in [*names, "hec.type", "fdt_instance_id"]]
    fields += ["rmt-fec.sbn", "rmt-fec.esi", "rmt-fec.fti.transfer_length", "rmt-fec.fti.encoding_symbol_length"]
    tshark = shutil.which("tshark")
    command = [tshark, "-r", tmp_path / "x.pcap", "-d", "udp.port==5077,alc", "-T", "json"]
    done = subprocess.run(
        [*command, *(part for name in fields for part in ("-e", name))], capture_output=True, check=True
    )
    dissected = [each["_source"]["layers"] for each in json.loads(done.stdout)]
    assert len(dissected) == len(shown) >= 50
    for raw, layers in zip(shown, dissected, strict=True):
        theirs = LCT(raw)
        for name in ("version", "tsi", "toi", "codepoint", "cci"):
            assert number(layers[f"rmt-lct.{name}"]) == getattr(theirs, name), name
        assert number(layers["rmt-lct.hlen"]) in (theirs.header_words, 4 * theirs.header_words)
        assert [int(kind, 0) for kind in layers["rmt-lct.hec.type"]] == [each.het for each in theirs.extensions]
        assert number(layers["rmt-fec.sbn"]) == theirs.payload.sbn
        assert number(layers["rmt-fec.esi"]) == theirs.payload.esi
        instances = [each.instance for each in theirs.extensions if isinstance(each, ExtFdt)]
        assert [int(each, 0) for each in layers.get("rmt-lct.fdt_instance_id", [])] == instances
        lengths = [each.transfer_length for each in theirs.extensions if hasattr(each, "transfer_length")]
        assert [int(each, 0) for each in layers.get("rmt-fec.fti.transfer_length", [])] == lengths


def number(shown):
    return int(shown[0], 0)
