"""A block does not match its digest: somebody forges symbols. How the box finds out which, and still gets its image.

Theory. CRCs keep accidents out, so a mismatch means forgery (or what a power cut tore; those symbols go first and
nobody is suspected). A block is then *doubted*, and there are three ways to settle it, the cheap ones first:

1. **Surplus.** Any K symbols without a forged one give the block. So the block takes some more symbols. With 4 more
   the code itself tells one forged symbol (`Codec.find_wrong`). Where there are more, a job leaves parts of the
   unproven ones out in turn until the digest is right, each as large as the surplus: two or three are found if they
   fall into one part.
2. **Digests.** Each symbol has its own digest in level 1. As they become known they are held against what is held
   (SORT jobs), and against each symbol that arrives; forged ones are dropped, good ones are proven. A block full of
   proven symbols is beyond doubt.
3. **Afresh.** When a block has taken all the surplus it may, it drops what is unproven and begins again.

This is where the siege is fought: what it costs stands in docs/security.md.
"""

import numpy as np

from carousel.buffers import IntArray
from carousel.release.digests import symbol_digest
from settop.stitch.digesttree import DigestTree
from settop.stitch.holdings import BlockState, Holdings
from settop.stitch.jobs import Present

__all__ = ["Inquiry"]

SURPLUS_SHARES = (0, 1 / 32, 1 / 8, 1 / 2)
"""How many symbols beyond K a doubted block takes, step by step, as shares of K."""
LEAST_SURPLUS = 4
"""So many the code needs to tell one wrong symbol among thousands."""
MOST_PARTS = 40
"""How many parts are left out in turn: each costs a decode."""


class Inquiry:
    """What is doubted of one image. It changes nothing but the image's holdings."""

    def __init__(self, image: Holdings, tree: DigestTree, can_decode: bool) -> None:
        self.is_open = False
        """Whether anything was found forged or wrong: from then on symbols are judged as they arrive."""
        self.rejected_symbols = 0
        self._image = image
        self._tree = tree
        self._can_decode = can_decode
        self._steps: dict[int, int] = {}
        self._to_sort: set[int] = set()

    def begin(self) -> None:
        """Be suspicious from now on."""
        if not self.is_open:
            self.is_open = True
            self._to_sort.update(range(self._image.geometry.blocks))

    # --- digests ----------------------------------------------------------------------------------------

    def judge(self, rows: IntArray) -> None:
        """Judge image symbols that have just landed, as far as their digests are known."""
        image = self._image
        sbn, esi = image.geometry.symbols_of(rows)
        known = self._tree.knows(0, sbn, esi) & (image.landing.held[rows] != 0)
        if not known.any():
            return
        rows, sbn, esi = rows[known], sbn[known], esi[known]
        places = zip(sbn.tolist(), esi.tolist(), image.symbols(rows), self._tree.digests(0, sbn, esi), strict=True)
        good = np.array([symbol_digest(0, block, one, symbol.data) == digest for block, one, symbol, digest in places])
        image.proven[rows[good]] = True
        self.drop(rows[~good])

    def drop(self, rows: IntArray) -> None:
        """Drop symbols that are forged."""
        self._image.discard(rows)
        self.rejected_symbols += len(rows)

    def sorted_out(self, sbn: int, bad_rows: IntArray) -> None:
        """Drop what sorting a block found forged; then it is tried again with K symbols."""
        self.drop(bad_rows)
        if len(bad_rows) and self._steps.pop(sbn, None) is not None:
            missing = int(self._image.geometry.block_sizes[sbn]) - len(self._image.held_rows(sbn))
            self._image.landing.wanted[sbn] = max(0, missing)

    def next_to_sort(self) -> tuple[int, IntArray, IntArray] | None:
        """Return (SBN, rows, ESIs) of unproven symbols whose digests are known now, of one open block."""
        self._to_sort |= self._tree.blocks_with_fresh_digests() if self.is_open else set()
        while self._to_sort:
            sbn = self._to_sort.pop()
            if self._image.state[sbn] == BlockState.BUSY:
                self._to_sort.add(sbn)
                return None
            if self._image.state[sbn] == BlockState.DONE:
                continue
            rows = self._image.held_rows(sbn)
            rows = rows[~self._image.proven[rows]]
            sbns, esis = self._image.geometry.symbols_of(rows)
            known = self._tree.knows(0, sbns, esis)
            if known.any():
                return sbn, rows[known], esis[known]
        return None

    # --- surplus ----------------------------------------------------------------------------------------

    def is_doubted(self, sbn: int) -> bool:
        """Say whether a full block needs some of its symbols left out: it was wrong, and not all are proven."""
        return sbn in self._steps and not self._image.proven[self._image.held_rows(sbn)].all()

    def mismatch(self, sbn: int) -> None:
        """Take more symbols of a block that was wrong with those it has, or begin it afresh."""
        size = int(self._image.geometry.block_sizes[sbn])
        step = self._steps.get(sbn, 0)
        self._steps[sbn] = step + 1
        if self._can_decode and step < len(SURPLUS_SHARES):
            surplus = max(LEAST_SURPLUS, round(size * SURPLUS_SHARES[step]))
            if self._image.want_more(sbn, size + surplus - len(self._image.held_rows(sbn))):
                return
        self._begin_afresh(sbn)

    def _begin_afresh(self, sbn: int) -> None:
        rows = self._image.held_rows(sbn)
        self._image.discard(rows[~self._image.proven[rows]])
        self._steps[sbn] = 0

    def parts(self, sbn: int, present: Present) -> tuple[tuple[IntArray, IntArray], ...]:
        """Return which doubted symbols to leave out in turn: (ESIs of source symbols, indices of repair symbols).

        Each part is what the block has beyond K, so that what is left suffices. Neighbours in a part are strangers
        on the air: a forger's burst hits many parts, but one forged symbol sent over and over only one.
        """
        image, size = self._image, int(self._image.geometry.block_sizes[sbn])
        sources = np.setdiff1d(np.arange(size), present.missing, assume_unique=True)
        rows = image.geometry.row_of(
            np.full(len(sources) + len(present.esis), sbn), np.concatenate([sources, present.esis])
        )
        unproven = np.flatnonzero(~image.proven[rows])
        spare = len(rows) - size
        if spare < 1 or not 0 < len(unproven) <= spare * MOST_PARTS:
            return ()
        count = -(-len(unproven) // spare)
        parts = []
        for number in range(count):
            mine = unproven[number::count][:spare]
            parts.append((sources[mine[mine < len(sources)]], mine[mine >= len(sources)] - len(sources)))
        return tuple(parts)

    def finish(self, sbn: int, forged: IntArray) -> None:
        """Forget the doubts about a block that is proven, and count the symbols that were forged."""
        self.rejected_symbols += len(forged)
        self._steps.pop(sbn, None)
        self._to_sort.discard(sbn)
