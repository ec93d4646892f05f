"""The Pulumi program: read the settings, declare the platform, export the outputs."""

from pathlib import Path

import pulumi

from infra.names import settings_file
from infra.program import build
from infra.settings.config import Configuration, from_pulumi
from infra.settings.models import DevSettings
from infra.stack.check import refuse_live_sizes
from slipway.core.errors import SlipwayError


def main() -> None:
    """Read the settings, declare the platform and export its outputs."""
    try:
        configuration = from_pulumi(Path(__file__).resolve().parents[1])
        _check_volume_sizes(configuration)
        outputs = build(configuration)
    except SlipwayError as error:
        raise pulumi.RunError(str(error)) from None
    for field, value in outputs.model_dump(mode="json").items():
        pulumi.export(field, value)


def _check_volume_sizes(configuration: Configuration) -> None:
    """Reject volume sizes that a team's cluster can't provide, as `slipway preview` does.

    Volumes of `local` can grow and its cluster may be down; the API server itself rejects shrinking them.
    """
    platform = configuration.platform
    if isinstance(platform, DevSettings):
        refuse_live_sizes(platform, settings_file(configuration.stack))


if __name__ == "__main__":
    main()
