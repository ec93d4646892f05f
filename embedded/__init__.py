"""What a bare machine needs in place of a cloud."""

from typing import Final

USE_DEV: Final = "Use the `dev` environment with an existing cluster."
"""The fix in messages where this machine can't run the local cluster."""
