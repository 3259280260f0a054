"""The carousel seen from outside: Scapy layers, a look at what is on the air, capture and replay (docs/bench.md)."""
