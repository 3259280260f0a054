"""The one interface of a RaptorQ codec (RFC 6330): one source block at a time."""

from typing import Protocol

from carousel.buffers import Buffer, IntArray, WritableBuffer

__all__ = ["MAX_ESI", "MOST_LACKING", "Codec", "Draft"]

MAX_ESI = (1 << 24) - 1
"""An ESI has 24 bits in a payload ID."""


MOST_LACKING = 32
"""So many symbols may lack of a block that is drafted."""


class Draft(Protocol):
    """A block that is decoded but for its last symbols. It belongs to the codec that made it."""

    def finish(self, block: WritableBuffer, repair: Buffer, late_rows: IntArray, late_esis: IntArray) -> bool:
        """Fill in all source symbols that lack; False, and nothing is touched, where these symbols don't suffice.

        `late_esis` are of those that were `coming`, as many as lacked or more. Source symbols lie at their places in
        `block`; of a repair symbol `late_rows[i]` says in which row of `repair` it lies (of a source symbol, nothing).
        """


class Codec(Protocol):
    """Encodes and decodes source blocks of K symbols of T bytes, T a multiple of 8, K from 1 to 56403.

    All codecs give the same bytes, release nothing half done, and refuse wrong numbers with `ValueError` before they
    touch a byte. They keep no state but memory: one codec serves many threads, and the native one runs without the
    interpreter lock. A flipped bit in a symbol gives wrong bytes, silently: check the digest of what comes back.
    """

    @property
    def name(self) -> str:
        """`native` or `numpy`."""

    def make_ready(self, symbols: int) -> None:
        """Have at hand what this thread is going to need for blocks of so many symbols, K.

        Its first block then takes as long as the next ones; without it, half as long again.
        """

    def encode(self, block: Buffer, symbol_size: int, esis: IntArray, out: WritableBuffer) -> None:
        """Write the encoding symbols with these ESIs (source or repair) of a padded block to `out`.

        `block` has K*T bytes, `out` len(esis)*T.
        """

    def decode(
        self,
        block: WritableBuffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
    ) -> bool:
        """Fill in the missing source symbols of a block in place; False, and nothing is touched, where they can't be.

        `block` has K*T bytes, in which every source symbol that is not listed in `missing` lies at its place. `repair`
        is an array of rows of T bytes; row `repair_rows[i]` is the symbol with ESI `repair_esis[i]` (K or more). False
        means too few repair symbols, or dependent ones; more of them than are missing help against that.
        """

    def draft(
        self,
        block: WritableBuffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
        coming: IntArray,
    ) -> Draft | None:
        """Do most of the work of decoding a block while its last symbols, at most `MOST_LACKING`, still lack.

        Takes what `decode` takes, and the ESIs of symbols that may come yet. Of `missing`, those that are not among
        `coming` are written, to what means nothing before the draft is finished; nobody else may touch them till then.
        None where it can't be done, or saves nothing: then `decode` the block when it is full.
        """

    def find_wrong(
        self,
        block: Buffer,
        symbol_size: int,
        missing: IntArray,
        repair: Buffer,
        repair_rows: IntArray,
        repair_esis: IntArray,
    ) -> list[int] | None:
        """Say which symbol is wrong, where one is: the ESIs, source or repair, that explain what doesn't add up.

        Takes what `decode` takes, before it has filled anything in. With h more repair symbols than are missing there
        are h check equations; 4 tell one symbol among thousands, 1 next to nothing. An empty list: all symbols agree.
        None: there are too few to tell, or more than one is wrong. It is a hint; the block's digest decides.
        """
