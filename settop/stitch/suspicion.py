"""Somebody forges symbols. How the box finds out which, and still gets its image.

Theory. CRCs keep accidents out, so a symbol or a block that does not match its digest means forgery (or what a power
cut tore; those symbols go first and nobody is suspected). Each symbol has its own digest in level 1, and the carousel
sends those of the next symbols just ahead of them (headend/cast/wheel.py). So a box that knows that it is attacked can
judge nearly every symbol as it comes. It finds out early: of the symbols that arrive, one now and then is judged
(a *sample*), and digest levels are judged always. From then on the inquiry is *open*:

1. **Digests.** What is held is sorted, once (SORT jobs), and each symbol that arrives is judged, as far as digests are
   known. When others become known, they are held against what came too early; so a row that a forger has taken is free
   again when the genuine symbol comes.
2. **Surplus.** A full block that has few forged symbols at most does not wait for its last digests. Any K symbols
   without a forged one give the block, so it takes some more. With 4 more the code itself tells one forged symbol
   (`Codec.find_wrong`). Where there are more, a job leaves parts of the unproven ones out in turn until the digest is
   right, each as large as the surplus: two or three are found if they fall into one part.
3. **Proof.** A block with more forged ones than that waits for K proven symbols, and is decoded from them alone. It
   takes whatever comes meanwhile, and drops nothing for being unproven: it may be genuine.

So an attack costs what was taken on trust before the first sample, and what came before its digest did: next to nothing
after the box has the digests of one window. What it costs stands in docs/security.md.
"""

import numpy as np

from carousel.buffers import IntArray
from carousel.distinct import distinct
from settop.stitch.digesttree import DigestTree
from settop.stitch.holdings import BlockState, Holdings
from settop.stitch.jobs import Present

__all__ = ["Inquiry"]

SAMPLE_EVERY = 32
"""Of so many symbols one is judged while nobody is suspected: it finds a forger of 1 % before a fourth of an image."""
SAMPLES_AT_ONCE = 256
"""Judging one symbol costs about as much as judging some; but early on, nobody waits for more."""
PATIENT_SHARE = 1 / 16
"""Of all symbols so far: so many may have come since the last sample."""
SURPLUS_SHARES = (0, 1 / 32)
"""How many symbols beyond K a doubted block takes, step by step, as shares of K."""
LEAST_SURPLUS = 4
"""So many the code needs to tell one wrong symbol among thousands."""
MOST_PARTS = 40
"""How many parts are left out in turn: each costs a decode."""
FEW_FORGED = 3
"""Where more forged symbols than these were found, blocks wait for proof: guessing costs much work, and symbols too."""
MOST_AT_ONCE = 512
"""Symbols that are judged at once where their digests became known; more are a job."""
LEAST_FREE_SHARE = 1 / 32
"""Of the slots for repair symbols: where fewer are free, unproven ones make room."""


class Inquiry:
    """What is doubted of one image. It changes nothing but the image's holdings."""

    def __init__(self, image: Holdings, tree: DigestTree, can_decode: bool) -> None:
        self.is_open = False
        """Whether anything was found forged or wrong: from then on symbols are judged as they arrive."""
        self.rejected_symbols = 0
        self._image = image
        self._tree = tree
        self._can_decode = can_decode
        self._heard = self._unsampled = 0
        self._forged_rows = np.zeros(image.geometry.rows, dtype=np.bool_)
        self._steps: dict[int, int] = {}
        self._proof_needed: dict[int, int] = {}
        """Blocks that wait for proof, and how many proven symbols each is tried with."""
        self._to_sort: set[int] = set()

    def begin(self) -> None:
        """Be suspicious from now on."""
        if not self.is_open:
            self.is_open = True
            self._tree.fresh_image_rows()
            self._to_sort.update(range(self._image.geometry.blocks))

    # --- digests ----------------------------------------------------------------------------------------

    def is_sample_due(self, symbols: int) -> bool:
        """Count image symbols that have just landed; say whether it is time to judge some of them."""
        self._heard += symbols
        self._unsampled += symbols
        return self._unsampled >= min(max(SAMPLE_EVERY, PATIENT_SHARE * self._heard), SAMPLE_EVERY * SAMPLES_AT_ONCE)

    def sample(self, rows: IntArray) -> bool:
        """Judge some of the symbols that have just landed; say whether one was forged."""
        self.judge(rows[:: -(-len(rows) * SAMPLE_EVERY // self._unsampled)])
        self._unsampled = 0
        return self.rejected_symbols > 0

    def judge(self, rows: IntArray) -> list[int]:
        """Judge held image symbols as far as their digests are known; return the blocks that have their proof now."""
        image = self._image
        rows = rows[(image.landing.held[rows] != 0) & ~image.proven[rows]]
        sbn, esi = image.geometry.symbols_of(rows)
        is_at_work = image.state[sbn] == BlockState.BUSY
        if self.is_open:
            is_at_work |= image.state[sbn] == BlockState.DRAFTED
        self._to_sort.update(sbn[is_at_work].tolist())
        known = self._tree.knows(0, sbn, esi) & (image.state[sbn] == BlockState.OPEN)
        rows, sbn, esi = rows[known], sbn[known], esi[known]
        if not len(rows):
            return []
        good = self._tree.are_good(0, sbn, esi, image.symbols(rows))
        image.proven[rows[good]] = True
        self.drop(rows[~good])
        return [block for block in distinct(sbn).tolist() if self._has_proof(block)]

    def learn(self) -> list[int]:
        """Judge what is held of the symbols whose digests became known; return as `judge` does."""
        rows = self._tree.fresh_image_rows()
        rows = rows[(self._image.landing.held[rows] != 0) & ~self._image.proven[rows]]
        if len(rows) <= MOST_AT_ONCE:
            return self.judge(rows) if len(rows) else []
        self._to_sort.update(distinct(self._image.geometry.symbols_of(rows)[0]).tolist())
        return []

    def drop(self, rows: IntArray) -> None:
        """Drop symbols that are forged."""
        if not len(rows):
            return
        self._image.discard(rows)
        self._forged_rows[rows] = True
        self.rejected_symbols += len(rows)

    def sorted_out(self, sbn: int, bad_rows: IntArray) -> None:
        """Drop what sorting a block found forged; then it is tried again with K symbols."""
        self.drop(bad_rows)
        if len(bad_rows) and self._steps.pop(sbn, None) is not None:
            missing = int(self._image.geometry.block_sizes[sbn]) - len(self._image.held_rows(sbn))
            self._image.landing.wanted[sbn] = max(0, missing)

    def next_to_sort(self) -> tuple[int, IntArray, IntArray] | None:
        """Return (SBN, rows, ESIs) of unproven symbols whose digests are known now, of one open block."""
        for sbn in sorted(self._to_sort):
            if self._image.state[sbn] in (BlockState.BUSY, BlockState.DRAFTED):
                continue
            self._to_sort.discard(sbn)
            if self._image.state[sbn] == BlockState.DONE:
                continue
            rows = self._image.held_rows(sbn)
            rows = rows[~self._image.proven[rows]]
            sbns, esis = self._image.geometry.symbols_of(rows)
            known = self._tree.knows(0, sbns, esis)
            if known.any():
                return sbn, rows[known], esis[known]
        return None

    # --- blocks -----------------------------------------------------------------------------------------

    def is_ready(self, sbn: int) -> bool:
        """Say whether an open block may be tried: it is full, or has the proof that it waits for."""
        if sbn in self._proof_needed:
            return self._image.state[sbn] == BlockState.OPEN and self._has_proof(sbn)
        if not self._image.is_full(sbn):
            return False
        if self.is_open and self._seems_forged(sbn):
            self._wait_for_proof(sbn)
            return self._has_proof(sbn)
        return True

    def needs_proof(self, sbn: int) -> bool:
        """Say whether a block is to be decoded from proven symbols alone."""
        return sbn in self._proof_needed

    def is_doubted(self, sbn: int) -> bool:
        """Say whether a full block needs some of its symbols left out: it was wrong, and not all are proven."""
        return sbn in self._steps and not self._image.proven[self._image.held_rows(sbn)].all()

    def mismatch(self, sbn: int) -> None:
        """Take more symbols of a block that was wrong with those it has, or wait for proof."""
        if self._proof_needed.pop(sbn, None) is not None:  # proven ones were wrong together: our own memory
            self._image.discard(self._image.held_rows(sbn))
            self._image.landing.wanted[sbn] = self._image.geometry.block_sizes[sbn]
            return
        size = int(self._image.geometry.block_sizes[sbn])
        step = self._steps.get(sbn, 0)
        if self._can_decode and step < len(SURPLUS_SHARES) and not self._seems_forged(sbn):
            self._steps[sbn] = step + 1
            surplus = max(LEAST_SURPLUS, round(size * SURPLUS_SHARES[step]))
            if self._image.want_more(sbn, size + surplus - len(self._image.held_rows(sbn))):
                return
        self._wait_for_proof(sbn)

    def too_few(self, sbn: int) -> None:
        """Want one more proven symbol of a block than it had: K do not decode once in 200 times."""
        self._proof_needed[sbn] = self._image.proven_count(sbn) + 1

    def make_room(self) -> None:
        """Let unproven repair symbols of blocks that wait for proof go where slots become scarce: they come again."""
        landing = self._image.landing
        if landing.free_count[0] >= len(landing.repair) * LEAST_FREE_SHARE:
            return
        for sbn in self._proof_needed:
            if self._image.state[sbn] == BlockState.OPEN:
                rows = self._image.held_rows(sbn)
                rows = rows[rows >= self._image.geometry.source_symbols]
                self._image.discard(rows[~self._image.proven[rows]])

    def _wait_for_proof(self, sbn: int) -> None:
        self._steps.pop(sbn, None)
        self._proof_needed[sbn] = int(self._image.geometry.block_sizes[sbn])
        self._image.want_more(sbn, len(self._image.geometry.block_rows(sbn)))

    def _has_proof(self, sbn: int) -> bool:
        if sbn not in self._proof_needed:
            return False
        has_enough = self._can_decode and self._image.proven_count(sbn) >= self._proof_needed[sbn]
        return has_enough or bool(self._image.proven[self._image.source_rows(sbn)].all())

    def _seems_forged(self, sbn: int) -> bool:
        """Say whether a block may have more than a few forged symbols: more were found, and not all of its are proven.

        Shares tell nothing here: genuine symbols come behind their digests, so most of those without one are forged.
        """
        is_hunted = int(np.count_nonzero(self._forged_rows)) > FEW_FORGED
        return is_hunted and not self._image.proven[self._image.held_rows(sbn)].all()

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

    def finish(self, forged: IntArray) -> None:
        """Count the symbols that were forged in a block that is proven now; nobody asks about its doubts any more."""
        self.rejected_symbols += len(forged)
