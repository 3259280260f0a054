"""The link emulator: small impairments, chained into links, for real packets or in virtual time (docs/bench.md)."""
