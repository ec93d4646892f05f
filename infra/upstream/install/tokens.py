"""Tokens of the resource types of this package, as the program and the provider name them. Pure."""

from typing import Final

DEFINITIONS: Final = "slipway:upstream:CustomResourceDefinitions"
READY: Final = "slipway:upstream:Ready"
INSTALLATION: Final = "slipway:upstream:Installation"
