"""The environment of a stack of `kind`: like that of `local`, but in this user's own folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded import session
from embedded.instance import Instance
from infra.cluster.kind import folder
from infra.settings.config import load_file
from infra.settings.models import KindSettings
from infra.upstream import installed
from slipway.core.report import Report
from slipway.operations import upstream_parts

_TOOLS: Final = ("pulumi", "kubectl", "pulumi-resource-kubernetes")
_FOR_IMAGES: Final = ("minio", "kserve-controller")
"""Programs in the images that are built where the settings name no registry."""
_FOR_KATIB: Final = ("katib-controller", "katib-db-manager")
"""Such programs, where Katib is on."""


def tool_environment(checkout: Instance, settings: Path, report: Report, *, build: bool) -> Mapping[str, str]:
    """Return the environment variables that the stack's tools need in addition.

    Args:
        checkout: The instance of this checkout, whose name the folder of its stacks has.
        settings: The stack's file; before `init` there is none.
        report: Takes lines of progress.
        build: Whether missing tools are built.

    Raises:
        UsageError: `build` is false, and a tool would have to be built.
    """
    platform = load_file(settings, secret=False) if settings.is_file() else None
    built_here = not isinstance(platform, KindSettings) or platform.images is None
    names = installed.NAMES if platform is None else installed.names(platform)
    in_images = (*_FOR_IMAGES, *(_FOR_KATIB if "katib" in names else ()))
    needed = [*_TOOLS, *(in_images if built_here else ())]
    if build:
        # Build all of them now: later, each image would request its own tools one after the other.
        upstream_parts.build(report, names=names, tools=needed)
    else:
        upstream_parts.require(names, needed)
    # A container tool needs no root, so neither do the stack's state and plugins.
    place = Instance(checkout.name, data_root=folder.data_root())
    environment = session.environment(place, report)
    if isinstance(platform, KindSettings):
        environment["KUBECONFIG"] = str(folder.kubeconfig(platform.cluster.name))
    return environment
