"""Sections of DDBs by whole bursts: a constant head, the fields that differ, the data, and CRCs."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from carousel.frozen import Frozen
from carousel.release.blocks import IntArray
from carousel.ssu.crc import CRC_BYTES, crcs_of_rows
from carousel.ssu.dsmcc import DDB_DTYPE, DDB_OVERHEAD_BYTES, DDB_PREFIX_BYTES, ddb

__all__ = ["BlockTemplate"]


@lru_cache(maxsize=64)
def _head(download_id: int, module_version: int, size: int) -> NDArray[np.void]:
    """Return what stands before the data of the first block of a carousel, shape (1,)."""
    section = ddb(download_id, 0, module_version, 0, 1, bytes(size))
    return np.frombuffer(section[:DDB_PREFIX_BYTES], dtype=DDB_DTYPE)


class BlockTemplate(Frozen):
    """Renders the DDBs of one carousel: of one downloadId and module version, in one group of moduleIds."""

    download_id: int
    module_version: int

    @property
    def first_module_id(self) -> int:
        """The moduleId of module number 0: its high byte is the group's low byte."""
        return (self.download_id & 0xFF) << 8

    def render(self, module: IntArray, block: IntArray, blocks: IntArray, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the sections of blocks, shape (n, 30 + bytes): `blocks` is how many each one's module has."""
        count, size = data.shape
        heads = np.repeat(_head(self.download_id, self.module_version, size), count)
        heads["extension"] = heads["module_id"] = self.first_module_id + module
        heads["block"] = block
        heads["section"] = block & 0xFF
        heads["last_section"] = (blocks - 1) & 0xFF
        sections = np.empty((count, size + DDB_OVERHEAD_BYTES), dtype=np.uint8)
        sections[:, :DDB_PREFIX_BYTES] = heads.view(np.uint8).reshape(count, DDB_PREFIX_BYTES)
        sections[:, DDB_PREFIX_BYTES:-CRC_BYTES] = data
        sections[:, -CRC_BYTES:] = crcs_of_rows(sections[:, :-CRC_BYTES])
        return sections
