"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Stack = Annotated[str, typer.Option("--stack", "-s", help="Which stack.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose namespace.")]

# Of a store that is not the stack's own.
Region = Annotated[str, typer.Option(help="Region to sign requests for.")]
CaFile = Annotated[
    Path | None, typer.Option(help="File with the certificate of the authority of a private store.")
]

# Of backups.
StackName = Annotated[str, typer.Argument(help="Stack, for example local.")]
To = Annotated[str, typer.Option("--to", help="Where to: s3://bucket/prefix.")]
From = Annotated[str, typer.Option("--from", help="Where from: s3://bucket/prefix.")]
Endpoint = Annotated[str | None, typer.Option(help="URL of the backups' store; AWS where absent.")]
SnapshotId = Annotated[str | None, typer.Option("--snapshot", help="Which; the newest by default.")]
Unsigned = Annotated[
    bool,
    typer.Option("--unsigned", help="Don't check the snapshot's signature: you vouch for it."),
]

# Of tabular data.
Target = Annotated[str, typer.Option("--target", help="Column to predict.")]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Column to leave out; may be repeated.")]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        help="Cell that counts as missing, instead of NA, N/A, #N/A, NaN, nan, null, NULL; may be repeated.",
    ),
]
TestSplit = Annotated[float, typer.Option("--test-split", help="Share of the rows to hold out.")]
Seed = Annotated[int, typer.Option("--seed", help="Makes split and model repeatable.")]
