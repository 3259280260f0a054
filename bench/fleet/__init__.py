"""Fleets in virtual time, from real receivers to hundreds of millions of boxes (docs/fleet.md)."""
