"""Records against the same declarations in `construct`."""

import pytest
from construct import ConstructError
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.flute import alc, releasefile
from carousel.records import Array, Bits, Bytes, Const, Number, Record
from carousel.release import header
from settop.store import staterecord

RECORDS = {
    "header": header.HeaderFormat,
    "slot": staterecord.SlotFormat,
    "state": staterecord.RecordFormat,
    "preamble": releasefile.Preamble,
    "plain": alc.PlainHeader,
    "fti": alc.ExtFtiRaptorQ,
    "fti without a code": alc.ExtFtiNoCode,
}
BITS = {"lct": alc.LctFlags, "fdt": alc.ExtFdt}


def values_of(field, draw):
    if isinstance(field, Number):
        return draw(st.integers(0, (1 << 8 * field.size) - 1))
    if isinstance(field, Bytes):
        return draw(st.binary(min_size=field.size, max_size=field.size))
    if isinstance(field, Array):
        return [values_of(field.of, draw) for _ in range(field.count)]
    return {name: values_of(each, draw) for name, each in field.fields.items() if not isinstance(each, Const)}


def same(ours, theirs):
    if isinstance(ours, list):
        return all(map(same, ours, theirs))
    if hasattr(ours, "__dict__"):
        return all(same(value, theirs[name]) for name, value in vars(ours).items())
    return ours == theirs


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(deadline=None)
def test_both_write_the_same_and_read_it(name, data):
    record = RECORDS[name]
    values = values_of(record, data.draw)
    raw = record.build(values)
    assert record.as_construct.build(values) == raw
    assert len(raw) == record.sizeof() == record.as_construct.sizeof()
    assert same(record.parse(raw), record.as_construct.parse(raw))
    assert same(record.parse(raw + b"more"), record.as_construct.parse(raw + b"more"))


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(deadline=None)
def test_both_refuse_the_same(name, data):
    record = RECORDS[name]
    raw = bytearray(record.build(values_of(record, data.draw)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    raw = bytes(raw[: data.draw(st.sampled_from([len(raw), at]))])
    try:
        theirs = record.as_construct.parse(raw)
    except ConstructError:
        with pytest.raises(FormatError):
            record.parse(raw)
    else:
        assert same(record.parse(raw), theirs)


@pytest.mark.parametrize("name", BITS)
@given(data=st.data())
@settings(deadline=None)
def test_bits(name, data):
    bits = BITS[name]
    values = {field: data.draw(st.integers(0, (1 << width) - 1)) for field, width in bits.widths.items()}
    raw = bits.build(values)
    assert bits.as_construct.build(values) == raw
    assert vars(bits.parse(raw + b"more")) == values
    with pytest.raises(FormatError, match="record_size"):
        bits.parse(raw[:-1])


def test_what_does_not_fit_is_our_own_fault():
    record = Record(">", number=Number(2), text=Bytes(3))
    for values in ({"number": 1 << 16, "text": b"abc"}, {"number": -1, "text": b"abc"}, {"number": 1, "text": b"ab"}):
        with pytest.raises(ValueError, match="bytes"):
            record.build(values)
    with pytest.raises(ValueError, match="bits are left over"):
        Bits(one=1)
    with pytest.raises(ValueError, match="no number of 8 bits"):
        Bits(one=8).build({"one": 256})
