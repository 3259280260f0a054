"""What is simulated: a fleet, its links and what happens, as values and as TOML."""
