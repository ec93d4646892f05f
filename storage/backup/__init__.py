"""Snapshots of a stack at another store: taken, checked, restored."""
