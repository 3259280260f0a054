"""What an image must read back as once it is in its slot: block by block, by the digests that proved it on its way in.

That is as good as its SHA-256, which each boot checks, and cheaper: BLAKE3 takes a third of the time here, and less
where the processor has no help for SHA-256.
"""

from collections.abc import Iterable
from itertools import chain

from carousel.frozen import Frozen
from carousel.release.blocks import ObjectGeometry
from carousel.release.digests import BlockHash

__all__ = ["ImageProof"]


class ImageProof(Frozen):
    """The digests of an image's blocks, in their order."""

    geometry: ObjectGeometry
    digests: tuple[bytes, ...]

    def holds(self, chunks: Iterable[bytes]) -> bool:
        """Say whether these are the image's bytes, one after the other, all of them and no more."""
        lengths = (self.geometry.block_sizes * self.geometry.symbol_size).tolist()
        padding = bytes(sum(lengths) - self.geometry.transfer_length)
        found: list[bytes] = []
        state, missing = BlockHash(), lengths[0]
        for chunk in chain(chunks, [padding]):
            rest = memoryview(chunk)
            while rest and len(found) < len(lengths):
                part, rest = rest[:missing], rest[missing:]
                state.update(part)
                missing -= len(part)
                if not missing:
                    found.append(state.digest())
                    state, missing = BlockHash(), lengths[len(found) % len(lengths)]
            if len(rest):
                return False
        return tuple(found) == self.digests
