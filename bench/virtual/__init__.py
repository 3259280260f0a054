"""Head-end, box, serial line and board in virtual time, for tests, fleets and benchmarks."""
