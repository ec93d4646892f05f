"""The surroundings of a local stack: where Pulumi keeps its state and finds its plugins."""

from collections.abc import Mapping

from embedded.instance import Instance
from storage.report import Report, silent


def environment(instance: Instance, report: Report = silent) -> dict[str, str]:
    """Return the variables with which the pulumi CLI works on a local stack."""
    raise NotImplementedError


def shell_exports(env: Mapping[str, str]) -> str:
    """Return `export …` lines for `eval "$(slipway env)"`."""
    raise NotImplementedError


def remove(instance: Instance) -> None:
    """Take away the stack's state and the launchers: the last step of `make down`."""
    raise NotImplementedError
