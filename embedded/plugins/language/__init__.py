"""A stand-in for `pulumi-language-python`: what a bare machine needs, and only a bare machine.

The official language host is part of a Pulumi download; where that can't be had, this one runs the
same program with the same SDK. `embedded.plugins.selection` decides which of them is used.

    CLI ──starts──> host.py ──starts, one per run──> program.py ──runpy──> infra/__main__.py
"""
