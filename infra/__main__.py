"""What `pulumi up` runs: read the settings, declare the platform, export the contract."""

from pathlib import Path

import pulumi

from infra.config import from_pulumi
from infra.program import build
from storage.errors import SlipwayError


def main() -> None:
    """Run the program."""
    try:
        outputs = build(from_pulumi(Path(__file__).resolve().parents[1]))
    except SlipwayError as error:
        raise pulumi.RunError(str(error)) from None
    for field, value in outputs.model_dump(mode="json").items():
        pulumi.export(field, value)


if __name__ == "__main__":
    main()
