"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Stack = Annotated[str, typer.Option("--stack", "-s", help="Stack.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Tenant.")]

StackName = Annotated[str, typer.Argument(help="Stack, for example local.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
YesDelete = Annotated[
    bool, typer.Option("--yes", help="Delete; without it, only list what would be deleted.")
]

# For a store other than the stack's own.
Region = Annotated[str, typer.Option(help="Region to sign requests for.")]
CaFile = Annotated[Path | None, typer.Option(help="CA certificate file of a private store.")]

# For backups.
To = Annotated[str, typer.Option("--to", help="Destination: s3://bucket/prefix.")]
From = Annotated[str, typer.Option("--from", help="Source: s3://bucket/prefix.")]
Endpoint = Annotated[str | None, typer.Option(help="URL of the backups' store; AWS by default.")]
SnapshotId = Annotated[str | None, typer.Option("--snapshot", help="Snapshot id; the newest by default.")]
Unsigned = Annotated[
    bool,
    typer.Option(
        "--unsigned",
        help="Do not check the snapshot's signature; use only if you know that the snapshot is yours.",
    ),
]

# For tabular data.
Target = Annotated[str, typer.Option("--target", help="Column to predict.")]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Column to leave out; may be repeated.")]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        help="Cell for a missing value, instead of NA, N/A, #N/A, NaN, nan, null, NULL; may be repeated.",
    ),
]
TestSplit = Annotated[float, typer.Option("--test-split", help="Share of the rows to hold out.")]
Seed = Annotated[int, typer.Option("--seed", help="Random seed of the split and the model.")]
