"""Keys in PEM: the one form that an Ed25519 key has, and nothing else."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carousel.errors import FormatError
from carousel.release.header import key_id
from carousel.release.trust import parse_public_key
from tests.conftest import KEY

DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem_of(der, begin=b"-----BEGIN PUBLIC KEY-----\n"):
    return begin + base64.b64encode(der) + b"\n-----END PUBLIC KEY-----\n"


def test_a_key_is_read_wherever_it_lies_in_the_file_and_however_it_is_broken():
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b64encode(DER)
    broken = b"\r\n".join(text[at : at + 7] for at in range(0, len(text), 7))
    for raw in (pem, b"a comment\n" + pem, pem_of(DER), pem.replace(text, broken)):
        assert key_id(parse_public_key(raw)) == key_id(KEY.public_key())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no key",
        pem_of(DER, b"-----BEGIN PRIVATE KEY-----\n"),
        pem_of(DER[:-1]),
        pem_of(DER + b"\0"),
        pem_of(b"\x31" + DER[1:]),
        pem_of(DER[:11] + b"\x01" + DER[12:]),
        pem_of(b""),
        pem_of(DER).replace(b"\n-----END", b"=\n-----END"),
        pem_of(DER).replace(b"BEGIN PUBLIC KEY-----\n", b"BEGIN PUBLIC KEY-----\n=="),
        pem_of(ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    ],
    ids=range(11),
)  # fmt: skip
def test_whatever_else_a_file_holds_is_none(raw):
    with pytest.raises(FormatError) as caught:
        parse_public_key(raw)
    assert caught.value.reason == "public_key"
