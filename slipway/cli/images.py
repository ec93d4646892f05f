"""`slipway images`: push Slipway's own images, mirror others, lock their digests, verify what runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console

if TYPE_CHECKING:
    from slipway.operations.images_registry import Connection

Username = Annotated[
    str | None, typer.Option(help="User at the registry; by default the container tools' login.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the user's password from standard input.")
]
CaFile = Annotated[Path | None, typer.Option(help="CA certificate file of a private registry.")]
PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Without TLS; only for a registry on this machine.")
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Images in a registry: push Slipway's own, mirror, lock, verify.\n\n"
    "Example:  slipway images push registry.example.org/slipway",
)


@app.callback()
def group() -> None:
    """Make Typer treat the commands as subcommands."""


@app.command()
def push(
    context: typer.Context,
    registry: Annotated[
        str, typer.Argument(help="Registry with a path, such as registry.example.org/slipway.")
    ],
    only: Annotated[list[str] | None, typer.Option(help="Image; may be repeated. All by default.")] = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    ca_file: CaFile = None,
    plain_http: PlainHttp = False,
) -> None:
    """Build Slipway's own images without Docker and push what the registry does not have.

    Prints the references by digest, and the lines for the settings of a `dev` stack.

    Example:  slipway images push registry.example.org/slipway
    """
    from oci.references import parse_place
    from slipway.operations import images_push

    place = parse_place(registry)
    connection = _connection(username, password_stdin, ca_file, plain_http)
    done = images_push.push(place, connection, console.phase, only=only or ())
    if context.obj["json"]:
        console.show_json({**done.model_dump(), "uploaded": done.uploaded, "settings": done.settings})
        return
    console.show_table(
        ("image", "sent MB", "reference"),
        [(each.name, f"{each.uploaded / 1e6:.1f}", each.reference) for each in done.images],
    )
    console.out.print("\n".join(["", *done.settings]), markup=False)


def _connection(
    username: str | None, password_stdin: bool, ca_file: Path | None, plain_http: bool
) -> "Connection":
    from slipway.operations.images_registry import Connection, login_of

    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    return Connection(login=login_of(username, password), ca_file=ca_file, plain_http=plain_http)
