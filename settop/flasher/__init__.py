"""A bare board on a serial line: its loader's frames, the flasher, the port."""
