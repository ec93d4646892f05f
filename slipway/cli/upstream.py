"""`slipway upstream`: the locked bundle of upstream's parts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console

if TYPE_CHECKING:
    from slipway.operations.upstream_upgrade import Change

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Upstream's parts as a locked bundle: fetch, render, check, compare.\n\n"
    "Example:  slipway upstream fetch && slipway upstream render && slipway upstream check",
)

Parts = Annotated[list[str] | None, typer.Argument(help="Parts, for example kserve; all by default.")]
Update = Annotated[
    bool, typer.Option("--update", help="Take what is there now, for a new version; review the lock's diff.")
]


@app.command()
def fetch(
    context: typer.Context,
    parts: Parts = None,
    mirror: Annotated[
        Path | None,
        typer.Option(
            "--mirror",
            help="Folder with NAME.git or NAME-COMMIT.tar.gz for each source, instead of the network.",
        ),
    ] = None,
    update: Update = False,
) -> None:
    """Bring the sources of the parts into the cache; no other command needs a network.

    Example:  slipway upstream fetch kserve --mirror mirrors
    """
    from slipway.operations import upstream

    with console.phase("Fetch upstream's sources") as report:
        found = upstream.fetch(parts or (), mirror=mirror, update=update, report=report)
    if context.obj["json"]:
        console.show_json([each.model_dump(mode="json") for each in found])
        return
    console.show_table(
        ("part", "source", "commit", "digest of its files", "from"),
        [(each.part, each.source, each.commit[:12], each.tree[:12], each.road) for each in found],
    )


@app.command()
def render(
    context: typer.Context,
    parts: Parts = None,
    update: Update = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="New folder for the objects and their lock.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Mirror that the objects of --output take every image from."),
    ] = None,
) -> None:
    """Render the parts from the cache, and compare each object with upstream.lock.

    Example:  slipway upstream render kserve --output kserve --from registry.example.org/mirror
    """
    from oci.references import parse_place
    from slipway.operations import upstream

    mirror = parse_place(source) if source else None
    with console.phase("Render upstream's parts") as report:
        found = upstream.render(parts or (), update=update, output=output, mirror=mirror, report=report)
    if context.obj["json"]:
        console.show_json([each.model_dump(mode="json") for each in found])
        return
    console.show_table(
        ("part", "version", "objects", "CRDs", "KiB", "images", "lock"),
        [
            (
                each.part,
                each.version,
                each.objects,
                each.definitions,
                each.bytes // 1024,
                each.images,
                "changed" if each.changed else "same",
            )
            for each in found
        ],
    )


@app.command()
def check(context: typer.Context, parts: Parts = None) -> None:
    """Refuse known credentials, images without digest, unknown namespaces, and pods that are not safe.

    Example:  slipway upstream check katib
    """
    from slipway.operations import upstream

    result = upstream.check(parts or ())
    if context.obj["json"]:
        console.show_model(result)
    elif result.findings:
        console.show_table(
            ("refused", "part", "where", "because"),
            [(each.law, each.part, each.place, each.reason) for each in result.findings],
        )
    else:
        console.out.print(
            f"{result.objects} objects of {', '.join(result.parts)}: nothing found.", markup=False
        )
    if result.findings:
        raise typer.Exit(1)


@app.command()
def images(
    context: typer.Context,
    parts: Parts = None,
    names: Annotated[
        bool, typer.Option("--names", help="Print the names alone, as a list for `slipway images lock`.")
    ] = False,
    digests: Annotated[
        Path | None,
        typer.Option("--digests", help="First write the digests of a list that `slipway images lock` made."),
    ] = None,
) -> None:
    """List every image of the parts, where it is named, and its digest.

    Example:  slipway upstream images --names
    """
    from slipway.operations import upstream_images

    if digests is not None:
        new = upstream_images.take_digests(digests)
        console.err.print(f"{new} digests are new in upstream.lock.", markup=False)
    found = upstream_images.images(parts or ())
    if context.obj["json"]:
        console.show_json([each.model_dump(mode="json") for each in found])
        return
    if names:
        console.out.print("\n".join(each.name for each in found), markup=False)
        return
    console.show_table(
        ("image", "digest", "parts", "places"),
        [
            (
                each.name,
                each.digest.removeprefix("sha256:")[:12] or "not known",
                ", ".join(each.parts),
                each.places[0] + (f" and {len(each.places) - 1} more" if len(each.places) > 1 else ""),
            )
            for each in found
        ],
    )
    missing = sum(not each.digest for each in found)
    console.out.print(f"{len(found)} images, {missing} without a known digest.", markup=False)


@app.command()
def diff(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(help="Lock, or folder made by `render --output`, of now.")],
    new: Annotated[Path, typer.Argument(help="The one that would follow.")],
) -> None:
    """Show what an upgrade changes; exit code 3 if something of it must not be done.

    Example:  slipway upstream diff installed.lock upstream.lock
    """
    from slipway.operations import upstream_upgrade

    found = upstream_upgrade.plan(old, new)
    forbidden = upstream_upgrade.is_forbidden(found)
    if context.obj["json"]:
        changes = [change.model_dump(mode="json") for change in found]
        console.show_json({"forbidden": forbidden, "changes": changes})
    else:
        _show_changes(found)
    if forbidden:
        raise typer.Exit(3)


def _show_changes(found: "list[Change]") -> None:
    if found:
        console.show_table(
            ("change", "part", "object", "what follows", "fields"),
            [
                (
                    change.action,
                    change.part,
                    change.object,
                    ": ".join(each for each in (change.consequence, change.why) if each),
                    ", ".join(change.fields),
                )
                for change in found
            ],
        )
    actions = [change.action for change in found]
    counts = ", ".join(f"{actions.count(action)} {action}" for action in ("added", "removed", "changed"))
    console.out.print(f"Objects: {counts}.", markup=False)
