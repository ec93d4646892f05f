"""Serve the language host: `python -m embedded.plugins.language <engine address>`."""

import sys

from embedded.plugins.language.host import main

if __name__ == "__main__":
    main(sys.argv[1:])
