"""FLUTE over ALC: packets, the FDT, the order of the carousel, and the release file that holds its packets."""
