import errno
import mmap
import os

import numpy as np

from carousel.take import populate


def test_pages_are_there_before_they_are_touched(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        rows = np.frombuffer(mapped, dtype=np.uint8)
        assert populate(rows[5000:900_000]) in {0, errno.EINVAL}
        rows[5000] = 7
        del rows


def test_nothing_is_populated_at_once():
    assert populate(bytearray(0)) in {0, errno.EINVAL}


def test_what_the_file_does_not_have_is_an_error_number(tmp_path):
    """Touching it would be a SIGBUS: so is a page that a full disk can't give."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 16))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        os.truncate(path, 4096)
        rows = np.frombuffer(mapped, dtype=np.uint8)
        assert populate(rows) in {errno.EFAULT, errno.EINVAL}
        del rows
