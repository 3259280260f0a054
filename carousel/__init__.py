"""What both ends of a broadcast must agree on: formats, geometry, digests, order.

No socket, no clock, no disk and no randomness of its own; imports nothing else of ours.
"""
