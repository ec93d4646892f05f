"""Serve the provider: `python -m embedded.plugins.platform <engine address>`."""

import sys

from embedded.plugins.platform.provider import main

if __name__ == "__main__":
    main(sys.argv[1:])
