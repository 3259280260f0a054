"""Landings in plain memory, for boxes without a disk."""

from collections.abc import Sequence

import numpy as np

from carousel.buffers import Bytes
from carousel.release.layout import ReleaseLayout
from carousel.take import Landing

__all__ = ["landings_in_memory"]


def landings_in_memory(layout: ReleaseLayout, sources: Sequence[Bytes] | None = None) -> list[Landing]:
    """Return landings of all levels; memory is taken as symbols come. `sources` lets boxes share source symbols."""
    landings = []
    for level, geometry in enumerate(layout.objects):
        size = geometry.symbol_size
        source = sources[level] if sources else np.zeros((geometry.source_symbols, size), dtype=np.uint8)
        slots = geometry.repair_symbols if level else min(geometry.repair_symbols, 2 * geometry.source_symbols)
        repair = np.zeros((slots, size), dtype=np.uint8)
        landings.append(Landing(geometry, source, repair, geometry.repair_per_block if level else 0))
    return landings
