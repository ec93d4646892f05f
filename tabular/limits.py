"""Limits on the size of a table."""

from typing import Final

MAX_BYTES: Final = 2 << 30
MAX_ROWS: Final = 20_000_000
MAX_COLUMNS: Final = 2000
MAX_CLASSES: Final = 256
MAX_CATEGORIES: Final = 256
"""Distinct values of a text feature."""
MAX_TEXT: Final = 1000
"""Characters of a class or of a category."""
