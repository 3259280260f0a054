"""The release: signed header, identity, trust, layout, blocks, digests and their limits. It knows no wire."""
