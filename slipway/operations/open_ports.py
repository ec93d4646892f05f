"""Ports of this machine that lead to a stack's Services while a command runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from infra.settings.models import DevSettings
from infra.stack import port_forward
from infra.stack.port_forward import Forward
from slipway.core.errors import UsageError
from slipway.core.report import Report
from slipway.operations import workspace


@contextmanager
def opened(stack: str, report: Report) -> Iterator[Sequence[Forward]]:
    """Keep the ports of a stack open during the block; they are those of `endpoints` in its settings.

    Args:
        stack: Its name.
        report: Receives a line when a forward ended and is started again.

    Raises:
        UsageError: The stack needs no ports, one is in use, or there is no kubectl.
        FailedError: A Service can't be reached.
    """
    platform = workspace.settings(stack)
    if not isinstance(platform, DevSettings):
        raise UsageError(
            f"The endpoints of stack {stack} are open while its cluster runs.",
            fix=f"`slipway status {stack}` shows them.",
        )
    env = workspace.tool_environment(stack)
    with port_forward.opened(platform, env, report) as forwards:
        yield forwards


__all__ = ["Forward", "opened"]
