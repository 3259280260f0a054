"""The sending socket, and what the interface does to packets behind it."""
