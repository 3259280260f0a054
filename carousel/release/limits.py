"""The limits of a release: they hold for authentic headers too, so that no signature makes a box grow."""

__all__ = [
    "MAX_BLOCKS",
    "MAX_BLOCK_SYMBOLS",
    "MAX_LEVELS",
    "MAX_LEVEL_BLOCK_SYMBOLS",
    "MAX_REPAIR_PER_BLOCK",
    "MAX_SYMBOL_BYTES",
    "MIN_SYMBOL_BYTES",
    "TARGET_BLOCK_SYMBOLS",
]

MAX_BLOCKS = 255
"""SBN is 8 bits with RaptorQ."""
MAX_BLOCK_SYMBOLS = 7000
"""Larger blocks decode slowly: the rows of a strip do not fit a small processor's cache."""
TARGET_BLOCK_SYMBOLS = 4000
"""Large blocks share losses out: at 20 % loss the unluckiest block of 200 MB costs 1.5 %, 2.1 % with 2500 symbols and
3.6 % with 1000. Decoding is slower by a tenth than with 2500, and copies a block in doubt, 5.8 MB at T = 1440: with
5000 symbols two threads and the books of a gigabyte no longer fit 48 MB.
"""
MAX_LEVEL_BLOCK_SYMBOLS = 1000
"""Digest levels are small, and are decoded only on suspicion or after a power cut."""
MAX_REPAIR_PER_BLOCK = 4 * MAX_BLOCK_SYMBOLS
MAX_LEVELS = 6
"""TOIs base+1 to base+6; base+7 is the header."""
MIN_SYMBOL_BYTES = 256
"""Smaller symbols would need more digest levels than there are TOIs."""
MAX_SYMBOL_BYTES = 65000
