"""What `pulumi up` runs: read the settings, declare the platform, export the contract."""

from pathlib import Path

import pulumi

from infra.program import build
from infra.settings.config import Configuration, from_pulumi
from infra.settings.models import DevSettings
from infra.stack.check import refuse_live_sizes
from slipway.core.errors import SlipwayError


def main() -> None:
    """Run the program."""
    try:
        configuration = from_pulumi(Path(__file__).resolve().parents[1])
        _refuse_sizes(configuration)
        outputs = build(configuration)
    except SlipwayError as error:
        raise pulumi.RunError(str(error)) from None
    for field, value in outputs.model_dump(mode="json").items():
        pulumi.export(field, value)


def _refuse_sizes(configuration: Configuration) -> None:
    """Refuse sizes that the volumes of a team's cluster can't take, as `slipway preview` does.

    Those of `local` can grow, and its cluster may be down; what shrinks the API server refuses there.
    """
    platform = configuration.platform
    if isinstance(platform, DevSettings):
        refuse_live_sizes(platform, f"Pulumi.{configuration.stack}.yaml")


if __name__ == "__main__":
    main()
