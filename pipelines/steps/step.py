"""How a step is declared: its image is named at compile time, and it installs nothing when it runs."""

from collections.abc import Callable
from typing import Any, Final

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

IMAGE: Final = "slipway/pipelines"
"""Stands in the golden IR for the stack's own image; `pipelines.upload` puts that one in its place."""


def step(function: Callable[..., Any]) -> BaseComponent:
    """Make a KFP component of `function`. Only its source travels: it imports inside its body."""
    return dsl.component(function, base_image=IMAGE, install_kfp_package=False)
