"""When an object is ready: pure verdicts per kind (`table.py`) and the one loop that waits (`waiter.py`)."""
