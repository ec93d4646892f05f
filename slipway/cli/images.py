"""`slipway images`: push Slipway's own images, mirror others, lock their digests, verify what runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.options import Stack

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
References = Annotated[list[str] | None, typer.Argument(help="References to images.")]
File = Annotated[Path | None, typer.Option("--file", help="File with one reference per line.")]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Images in a registry: push Slipway's own, mirror, lock, verify.\n\n"
    "Example:  slipway images push registry.example.org/slipway",
)


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
    opened = connection(username, password_stdin, ca_file, plain_http)
    done = images_push.push(place, opened, console.phase, only=only or ())
    if context.obj["json"]:
        console.show_json({**done.model_dump(), "uploaded": done.uploaded, "settings": done.settings})
        return
    console.show_table(
        ("image", "sent MB", "reference"),
        [(each.name, f"{each.uploaded / 1e6:.1f}", each.reference) for each in done.images],
    )
    console.out.print("\n".join(["", *done.settings]), markup=False)


@app.command()
def mirror(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", help="Mirror: registry with a path.")],
    references: References = None,
    file: File = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Read from this mirror, not from the images' own registries.")
    ] = None,
    platform: Annotated[
        list[str] | None, typer.Option(help="Variant, such as linux/amd64; may be repeated. All by default.")
    ] = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    ca_file: CaFile = None,
    plain_http: PlainHttp = False,
) -> None:
    """Copy images into another registry by digest; only what is missing is sent.

    The login options are for the mirror; the images' own registries use the container tools' logins.

    Example:  slipway images mirror --to registry.example.org/mirror --file images.lock
    """
    from oci.references import parse_place
    from slipway.operations import images_list, images_mirror
    from slipway.operations.images_registry import Connection

    place = parse_place(to)
    mirrored_at = parse_place(source) if source else None
    listed = images_list.read(references or (), file)
    target = connection(username, password_stdin, ca_file, plain_http)
    done = images_mirror.mirror(
        listed,
        place,
        sources=Connection(ca_file=ca_file),
        target=target,
        phases=console.phase,
        platforms=platform or (),
        mirrored_at=mirrored_at,
    )
    if context.obj["json"]:
        console.show_json([each.model_dump() for each in done])
        return
    console.show_table(
        ("image", "sent MB", "in the mirror"),
        [(each.source, f"{each.uploaded / 1e6:.1f}", each.reference) for each in done],
    )


@app.command()
def lock(
    context: typer.Context,
    references: References = None,
    file: File = None,
    ca_file: CaFile = None,
) -> None:
    """Print images with the digests that their tags have now, one per line; compare those that have one.

    Exit code 1 if a tag names another image than its digest.

    Example:  slipway images lock --file images.txt
    """
    from slipway.operations import images_list, images_lock
    from slipway.operations.images_registry import Connection

    listed = images_list.read(references or (), file)
    locked = images_lock.lock(listed, Connection(ca_file=ca_file))
    if context.obj["json"]:
        console.show_json([each.model_dump() for each in locked])
    else:
        console.out.print("\n".join(each.locked for each in locked), markup=False)


@app.command()
def verify(
    context: typer.Context,
    references: References = None,
    file: File = None,
    namespace: Annotated[
        list[str] | None, typer.Option(help="Namespace; may be repeated. All by default.")
    ] = None,
    stack: Stack = "local",
) -> None:
    """Show which containers of the stack's cluster run an image that is not in a list.

    Exit code 1 if there is one. What counts is the digest that the node reports.

    Example:  slipway images verify --stack dev --file images.lock --namespace kserve
    """
    from slipway.operations import images_list, images_verify

    listed = images_list.read(references or (), file)
    found = images_verify.verify(stack, listed, namespaces=namespace or ())
    if context.obj["json"]:
        console.show_model(found)
    elif found.unlisted:
        console.show_table(
            ("namespace", "pod", "container", "image", "digest"),
            [
                (each.namespace, each.pod, each.container, each.image, each.digest or "-")
                for each in found.unlisted
            ],
        )
    else:
        console.out.print(f"All {found.containers} containers run images of the list.", markup=False)
    if found.unlisted:
        raise typer.Exit(1)


def connection(
    username: str | None, password_stdin: bool, ca_file: Path | None, plain_http: bool = False
) -> "Connection":
    """Return how to connect to a registry, with the password from standard input if it is there."""
    from slipway.operations.images_registry import Connection, login_of

    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    return Connection(login=login_of(username, password), ca_file=ca_file, plain_http=plain_http)
