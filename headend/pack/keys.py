"""Signing keys as PEM files."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from carousel.console.files import read_small_file
from carousel.errors import OperatorError

__all__ = ["load_private_key", "new_secret", "read_secret", "write_key_pair", "write_secret"]

SECRET_BYTES = 32


def write_key_pair(prefix: Path) -> tuple[Path, Path]:
    """Make an Ed25519 key pair; return the paths of PREFIX.key (mode 0600) and PREFIX.pub. Never overwrites."""
    private, public = Path(f"{prefix}.key"), Path(f"{prefix}.pub")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shared = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for path, mode, content in ((private, 0o600, secret), (public, 0o644, shared)):
        _write_new(path, mode, content)
    return private, public


def write_secret(prefix: Path) -> Path:
    """Make PREFIX.secret (mode 0600), 64 hex digits; return its path. Never overwrites."""
    path = Path(f"{prefix}.secret")
    _write_new(path, 0o600, new_secret().hex().encode() + b"\n")
    return path


def _write_new(path: Path, mode: int, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise OperatorError(f"{path} exists; take another prefix or move it away") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def new_secret() -> bytes:
    """Return 32 bytes that nobody knows."""
    return os.urandom(SECRET_BYTES)


def read_secret(path: Path) -> bytes:
    """Read PREFIX.secret."""
    try:
        secret = bytes.fromhex(read_small_file(path, 1024).decode().strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise OperatorError(f"{path} holds no secret of 64 hex digits; `headend keygen --reports` makes one")
    return secret


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read PREFIX.key."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise OperatorError(f"{path} is no unencrypted Ed25519 private key in PEM; `headend keygen` makes one")
    return key
