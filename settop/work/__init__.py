"""Work beside the receiver: hashing and decoding."""
