"""Names that the program, the driver and the provider share. Pure."""

from typing import Final

DEFINITIONS: Final = "slipway:upstream:CustomResourceDefinitions"
READY: Final = "slipway:upstream:Ready"
INSTALLATION: Final = "slipway:upstream:Installation"
"""Types of resources."""

MANAGER: Final = "slipway"
"""The field manager: a definition that it has never applied belongs to another maker."""

TAKE_OVER: Final = "SLIPWAY_TAKE_OVER_DEFINITIONS"
"""Environment variable with which the driver makes one run take over definitions of other managers."""
