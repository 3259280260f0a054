"""Fresh pages, ahead of the symbols: faults cost more than packets, one by one."""

import ctypes
import errno
import sys

from carousel.buffers import WritableBuffer, as_writable_bytes

__all__ = ["populate"]

MADV_POPULATE_WRITE = 23
"""Linux 5.14 and newer; Python's `mmap` knows no name for it."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_PAGE_BYTES = int(_libc.getpagesize())


def populate(memory: WritableBuffer) -> int:
    """Have the kernel make the pages of this memory, writable; return 0 or an error number.

    EFAULT: the file behind it can't take them (its disk is full, or fails), where touching a page would be a SIGBUS.
    EINVAL: the kernel is too old; the pages come one by one, as they are touched. The interpreter lock is released.
    """
    flat = as_writable_bytes(memory)
    if not sys.platform.startswith("linux"):
        return errno.EINVAL
    if not len(flat):
        return 0
    address: int = flat.__array_interface__["data"][0]
    first = address - address % _PAGE_BYTES
    if _libc.madvise(first, address + len(flat) - first, MADV_POPULATE_WRITE) == 0:
        return 0
    return ctypes.get_errno()
