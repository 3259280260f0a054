"""All disk access of a box: slots, the state record, the choice of what to boot, part files."""
