"""The Pulumi program: read the settings, declare the platform, export the outputs."""

from pathlib import Path

import pulumi

from infra.names import settings_file
from infra.program import build
from infra.settings.config import PROJECT, Configuration, from_pulumi
from infra.settings.models import DevSettings
from infra.stack.check import open_live, refuse_cluster
from slipway.core.errors import SlipwayError
from storage.keys import stack_identity


def main() -> None:
    """Read the settings, declare the platform and export its outputs."""
    try:
        configuration = from_pulumi(Path(__file__).resolve().parents[1])
        _check_cluster(configuration)
        outputs = build(configuration)
    except SlipwayError as error:
        raise pulumi.RunError(str(error)) from None
    for field, value in outputs.model_dump(mode="json").items():
        pulumi.export(field, value)


def _check_cluster(configuration: Configuration) -> None:
    """Refuse a team's cluster that can't hold the platform, as `slipway preview` does.

    The cluster of `local` may be down, and is what Slipway made it.
    """
    platform = configuration.platform
    if isinstance(platform, DevSettings):
        refuse_cluster(
            platform,
            settings_file(configuration.stack),
            lambda: open_live(platform, {}),
            lambda: stack_identity(pulumi.Config(PROJECT).require("secret")),
        )


if __name__ == "__main__":
    main()
