"""What all commands share with people: quantities, endpoints, files by name, reports. The one impure room."""
