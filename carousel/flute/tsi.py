"""The session that both ends mean where none is named; by itself, since help wants to tell it and waits for nothing."""

__all__ = ["DEFAULT_TSI"]

DEFAULT_TSI = 0xB007CA57
