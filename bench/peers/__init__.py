"""Peers side by side: the same image over the same link in the same run (docs/bench.md)."""
