"""What runs of a stack, its endpoints, and which plugins are in use."""

from dataclasses import dataclass

from embedded import cluster
from embedded.cluster import ClusterStatus
from embedded.plugins import selection
from embedded.plugins.selection import Plugin
from infra.contract import PlatformOutputs
from slipway.core.errors import UsageError
from slipway.operations import missing_objects, workspace
from slipway.operations.missing_objects import MissingObjects


@dataclass(frozen=True)
class StackStatus:
    """The current state of a stack."""

    stack: str
    cluster: ClusterStatus | None
    """The embedded cluster; None if the stack has another."""
    plugins: tuple[Plugin, ...]
    outputs: PlatformOutputs | None
    """None if the stack is not up, or its cluster is not running."""
    missing: MissingObjects | None


def read(stack: str) -> StackStatus:
    """Return the current state of a stack; UsageError if there is no such stack."""
    local = workspace.environment_of(stack) == "local"
    running = cluster.status(workspace.instance()) if local else None
    plugins = selection.plugins() if local else ()
    if running is not None and running.state != "running":
        return StackStatus(stack, running, plugins, None, None)
    opened = workspace.open_stack(stack)
    try:
        outputs = opened.outputs()
    except UsageError:
        return StackStatus(stack, running, plugins, None, None)
    return StackStatus(stack, running, plugins, outputs, missing_objects.find(opened))
