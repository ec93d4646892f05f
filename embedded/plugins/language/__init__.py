"""A replacement for `pulumi-language-python` on a bare machine.

The official language host is part of a Pulumi download; where that is not available, this one runs the
same program with the same SDK. `embedded.plugins.selection` decides which of them is used.

    CLI ──starts──> host.py ──starts, one per run──> program.py ──runpy──> infra/__main__.py
"""
