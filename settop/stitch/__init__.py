"""Stitch a release from its symbols: which to collect, what is held, what is proven. It knows neither wire nor disk."""
