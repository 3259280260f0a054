"""What came of it: as data, as a table on a terminal, and as one self-contained page."""
