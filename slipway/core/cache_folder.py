"""The folder of what can be made again: built tools, image layers, generated and fetched manifests."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $SLIPWAY_CACHE or ~/.cache/slipway, absolute; it may not exist yet."""
    setting = os.environ.get("SLIPWAY_CACHE")
    return Path(setting).expanduser().absolute() if setting else Path.home() / ".cache" / "slipway"
