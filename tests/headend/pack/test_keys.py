import stat

import pytest

from carousel.console.files import load_public_key
from carousel.errors import OperatorError
from headend.pack.keys import load_private_key, write_key_pair


def test_a_pair_that_fits(tmp_path):
    private, public = write_key_pair(tmp_path / "lab")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert load_private_key(private).public_key() == load_public_key(public)


def test_keys_are_never_overwritten(tmp_path):
    private, _ = write_key_pair(tmp_path / "lab")
    before = private.read_bytes()
    with pytest.raises(OperatorError, match="exists"):
        write_key_pair(tmp_path / "lab")
    assert private.read_bytes() == before


def test_other_files_are_explained(tmp_path):
    (tmp_path / "x").write_bytes(b"no key")
    for load in (load_private_key, load_public_key):
        with pytest.raises(OperatorError, match="keygen"):
            load(tmp_path / "x")
    private, public = write_key_pair(tmp_path / "lab")
    with pytest.raises(OperatorError, match="keygen"):
        load_private_key(public)
    with pytest.raises(OperatorError, match="keygen"):
        load_public_key(private)
