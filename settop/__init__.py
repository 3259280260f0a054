"""The receiver: take packets, stitch, verify, store in slots, choose what to boot."""
