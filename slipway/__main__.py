"""`python -m slipway`."""

from slipway.cli.app import entry

entry()
