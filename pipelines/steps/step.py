"""Declares steps: the image is set at compile time, and nothing is installed at run time."""

from collections.abc import Callable
from typing import Any, Final

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

IMAGE: Final = "slipway/pipelines"
"""Placeholder in the golden IR; `pipelines.upload` replaces it with the stack's image."""


def step(function: Callable[..., Any]) -> BaseComponent:
    """Turn `function` into a KFP component. Only its source is sent, so it imports inside its body."""
    return dsl.component(function, base_image=IMAGE, install_kfp_package=False)
