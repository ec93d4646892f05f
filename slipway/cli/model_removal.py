"""`slipway model gc` and `delete`: removal of versions from the registry."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.model_versions import Name
from slipway.cli.options import Stack, Tenant, YesDelete
from storage.registry.version_files import SHORT_DIGEST
from storage.registry.version_uses import Window

if TYPE_CHECKING:
    from slipway.operations.model_removal import CollectionOutcome

_DEFAULT = Window()


def gc(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    keep_history: Annotated[
        int, typer.Option(min=1, help="Keep the versions of a model's last log entries.")
    ] = _DEFAULT.entries,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Keep the versions of log entries up to this age, in days.")
    ] = _DEFAULT.days,
    grace_days: Annotated[
        int, typer.Option(min=1, help="Keep files up to this age, in days, published or not.")
    ] = _DEFAULT.grace_days,
    yes: YesDelete = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Delete the versions that no alias, endpoint or recent log entry needs; a dry run by default.

    Example:  slipway model gc --tenant team-a --keep-history 5
    """
    from slipway.operations import model_removal, workspace

    window = Window(keep_history, keep_days, grace_days)
    outputs = workspace.outputs(stack)
    with console.phase("Collect" if yes else "Find what nothing needs") as report:
        outcomes = model_removal.collect(outputs, tenant, window, model=model, delete=yes, report=report)
    if context.obj["json"]:
        console.show_json({"deleted": yes, "versions": [asdict(each) for each in outcomes]})
        return
    _show_outcomes(outcomes, deleted=yes)


def delete(
    context: typer.Context,
    model: Name,
    with_aliases: Annotated[
        bool, typer.Option("--with-aliases", help="Also if aliases point to it; they are deleted too.")
    ] = False,
    yes: YesDelete = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Delete all versions of a model that nothing serves; a dry run by default. Its log is kept.

    Example:  slipway model delete churn --tenant team-a --yes
    """
    from slipway.operations import model_removal, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Delete" if yes else "Find what would be deleted") as report:
        contents, outcomes = model_removal.delete_model(
            outputs, tenant, model, with_aliases=with_aliases, delete=yes, report=report
        )
    if context.obj["json"]:
        console.show_json(
            {
                "deleted": yes,
                "aliases": dict(contents.aliases),
                "versions": [asdict(each) for each in outcomes],
            }
        )
        return
    console.show_pairs([("aliases", ", ".join(sorted(contents.aliases)) or "-")])
    _show_outcomes(outcomes, deleted=yes)


def _show_outcomes(outcomes: "list[CollectionOutcome]", *, deleted: bool) -> None:
    console.show_table(
        ("model", "version", "action", "objects", "bytes", "why"),
        [
            (
                o.model,
                o.digest[:SHORT_DIGEST],
                o.action,
                o.files,
                o.size,
                "; ".join(o.reasons) or "not needed",
            )
            for o in outcomes
        ],
    )
    console.show_pairs([("deleted" if deleted else "would delete", _total(outcomes))])


def _total(outcomes: "list[CollectionOutcome]") -> str:
    collected = [outcome for outcome in outcomes if outcome.collected]
    return f"{len(collected)} of {len(outcomes)} versions, {sum(outcome.size for outcome in collected)} bytes"
