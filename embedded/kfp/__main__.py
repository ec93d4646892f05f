"""`python3 -m embedded.kfp`: serve until stopped by a signal."""

import os
import sys


def run() -> int:
    """Start the server."""
    # Importing kfp also loads its client and the Kubernetes client, unless this variable of the SDK is set,
    # as in a step. The server needs neither: 57 MB instead of 135, 0.7 s instead of 2.1 (2026-11-22).
    os.environ["_KFP_RUNTIME"] = "true"
    from embedded.kfp.server import main  # noqa: PLC0415

    return main()


if __name__ == "__main__":
    sys.exit(run())
