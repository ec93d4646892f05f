"""Many bytes to and from a store: parallel, bounded in memory, checked from end to end."""
