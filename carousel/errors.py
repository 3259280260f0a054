"""Errors, split by whose fault they are.

`FormatError`: the peer's bytes are wrong. It carries a short, countable reason and never formats or logs
anything when it is made, so that a hostile packet costs nothing but itself.
`OperatorError`: the person at the keyboard can mend it; the message says how. `UsageError`: it is a typing error.
A wrong call by our own code is a plain `ValueError`.
"""

import errno

__all__ = ["BootcastError", "FormatError", "OperatorError", "UsageError", "explain_os_error"]


class BootcastError(Exception):
    """Base of the errors that bootcast raises on purpose."""


class FormatError(BootcastError):
    """Bytes that do not follow the format. `reason` is a name to count by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OperatorError(BootcastError):
    """Something that the operator can mend: one sentence, with what to do."""


class UsageError(OperatorError):
    """A value that was typed can't be read: exit code 2, as for every wrong command line."""


_ADVICE = {
    errno.ENOSPC: "the disk is full; make room and start again",
    errno.EDQUOT: "the disk quota is used up; make room and start again",
    errno.EROFS: "the file system is read-only; remount it writable, or take another folder",
    errno.EACCES: "permission denied; check the owner and mode, or run as the owner",
    errno.EPERM: "not permitted; it may need more rights",
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENOTDIR: "a part of this path is no folder; check the path",
    errno.EISDIR: "this is a folder; a file is needed",
    errno.EADDRINUSE: "the address is in use; end the program that has it, or take another port",
    errno.EADDRNOTAVAIL: "the address does not exist here; check the group, interface and source",
    errno.ENETUNREACH: "the network is unreachable; is the interface up?",
    errno.EIO: "the device reports an error; check the medium",
}


def explain_os_error(error: OSError) -> str:
    """Say in one sentence what the system refused, and what to do."""
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return f"{error.filename}: {advice}" if error.filename else advice
