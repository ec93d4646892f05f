"""Snapshots of a stack at another store: taking, checking and restoring them."""
