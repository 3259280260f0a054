"""Benchmarks: the end-to-end table, micro-benchmarks, and what stands beside them."""
