"""Measure the local platform and write docs/benchmarks.md: `make bench`; with COLD=1 also with empty caches.

Every figure is measured on this machine with the real platform. No wall time is asserted.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench import measure, page
from bench.measure import Figures

COLD_VARIABLES = ("SLIPWAY_CACHE", "GOCACHE", "GOMODCACHE", "UV_CACHE_DIR", "PIP_CACHE_DIR")


def main() -> int:
    """Run the measurements and rewrite the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--cold", action="store_true", help="also measure with empty caches (20 minutes more)"
    )
    parser.add_argument("--keep", type=Path, help="also write the figures to this file as JSON")
    parser.add_argument(
        "--cold-from",
        type=Path,
        help="JSON with the cold quickstart of an earlier run",
    )
    options = parser.parse_args()
    cold: measure.QuickstartTimes | None = None
    if options.cold_from:
        cold = measure.QuickstartTimes.model_validate_json(options.cold_from.read_text())
    elif options.cold or os.environ.get("COLD"):
        cold = _cold()
    warm = measure.platform()
    figures = Figures(warm=warm, cold=cold)
    if options.keep:
        options.keep.write_text(figures.model_dump_json(indent=2))
    page.write(figures, Path("docs/benchmarks.md"))
    sys.stdout.write(json.dumps({"written": "docs/benchmarks.md"}) + "\n")
    return 0


def _cold() -> measure.QuickstartTimes:
    """Run the quickstart with empty caches; the user's caches are not changed."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-cold-"))
    try:
        empty = {name: str(folder / name.lower()) for name in COLD_VARIABLES}
        started = time.monotonic()
        journey = measure.journey(empty)
        measure.say(f"from empty caches: {time.monotonic() - started:.0f} s")
        return journey
    finally:
        # Go writes its module cache read-only.
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
