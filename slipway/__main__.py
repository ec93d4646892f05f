"""`python -m slipway`."""

from slipway.app import entry

entry()
