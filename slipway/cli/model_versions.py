"""`slipway model show`, `versions`, `history`, `verify`: read and check the registry."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.cli import console
from slipway.cli.options import Stack, Tenant
from slipway.core.errors import UsageError
from storage.registry.version_files import SHORT_DIGEST

if TYPE_CHECKING:
    from slipway.operations.model_registry import NamedVersion
    from storage.registry.records import ModelVersion

Name = Annotated[str, typer.Argument(help="Model.")]


def show(
    context: typer.Context,
    model: Name,
    version: Annotated[
        str | None, typer.Option(help="Digest, or its first 12 digits; the champion by default.")
    ] = None,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Show a version: its files, and the run, code and data that produced it.

    Example:  slipway model show churn --tenant team-a
    """
    from slipway.operations import model_registry, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Read the registry") as report:
        named = model_registry.show(outputs, tenant, model, version, report)
    if context.obj["json"]:
        console.show_json(_plain(named))
        return
    shown = named.version
    pairs: list[tuple[str, object]] = [
        ("digest", shown.digest),
        ("aliases", ", ".join(named.aliases) or "-"),
        ("uri", shown.storage_uri),
        ("published", f"{shown.at or '-'} by {shown.by or '-'}"),
    ]
    if shown.lineage:
        lineage = shown.lineage.model_dump()
        metrics = lineage.pop("metrics")
        frameworks = lineage.pop("frameworks")
        pairs += [(name.replace("_", " "), value) for name, value in lineage.items()]
        pairs += [(name, value) for name, value in (*metrics.items(), *frameworks.items())]
    console.show_pairs(pairs, title=f"Model {model}")
    console.show_table(("file", "bytes", "sha256"), [(f.path, f.size, f.sha256) for f in shown.files])


def versions(context: typer.Context, model: Name, tenant: Tenant = "team-a", stack: Stack = "local") -> None:
    """List a model's versions with the run and code that produced them.

    Example:  slipway model versions churn --tenant team-a
    """
    from slipway.operations import model_registry, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Read the registry") as report:
        listed = model_registry.versions(outputs, tenant, model, report)
    if context.obj["json"]:
        console.show_json([_plain(named) for named in listed])
        return
    console.show_table(
        ("version", "aliases", "run", "commit", "metrics", "bytes", "published"),
        [_row(named) for named in listed],
    )


def history(
    context: typer.Context,
    model: Name,
    last: Annotated[int | None, typer.Option(min=1, help="Only this many of the last entries.")] = None,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """List the promotion log: what was promoted, when, by whom and why.

    Example:  slipway model history churn --last 10
    """
    from slipway.operations import model_registry, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Read the log") as report:
        entries = model_registry.history(outputs, tenant, model, last=last, report=report)
    if context.obj["json"]:
        console.show_json([entry.model_dump(mode="json") for entry in entries])
        return
    console.show_table(
        ("number", "when", "event", "version", "run", "by", "reason"),
        [
            (
                entry.number,
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                entry.event,
                entry.digest[:SHORT_DIGEST],
                entry.run_id or "-",
                entry.by or "-",
                entry.details.reason or "-",
            )
            for entry in entries
        ],
    )


def verify(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Model; none with --served.")] = None,
    version: Annotated[
        str | None, typer.Option(help="Digest, or its first 12 digits; the champion by default.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Verify every version of the model.")] = False,
    being_served: Annotated[
        bool, typer.Option("--served", help="Verify what every InferenceService of the tenant serves.")
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Read versions back and hash every byte; exit 1 if one differs.

    With --served, also check whether each InferenceService loads one of the tenant's versions, and
    whether that version would expire.

    Example:  slipway model verify churn --all
    """
    if (model is None) != being_served or (version is not None and (every or being_served)):
        raise UsageError(
            "It is not clear what to verify.",
            fix="Name a model with --version or --all, or give --served.",
        )
    from slipway.operations import model_verification, workspace

    outputs = workspace.outputs(stack)
    with console.phase("Verify") as report:
        if model is None:
            checks = model_verification.verify_served(outputs, tenant, report)
        else:
            checks = model_verification.verify_model(
                outputs, tenant, model, version, every=every, report=report
            )
    if context.obj["json"]:
        console.show_json([asdict(check) for check in checks])
    else:
        console.show_table(
            ("service", "model", "version", "result"),
            [
                (c.service or "-", c.model, (c.digest or "-")[:SHORT_DIGEST], c.problem or "verified")
                for c in checks
            ],
        )
    if any(check.problem for check in checks):
        raise typer.Exit(1)


def _row(named: "NamedVersion") -> tuple[object, ...]:
    version = named.version
    return (
        version.digest[:SHORT_DIGEST],
        ", ".join(named.aliases) or "-",
        version.lineage.run_id if version.lineage else "-",
        (version.lineage.git_commit if version.lineage else "-")[:SHORT_DIGEST],
        _metrics(version),
        version.size,
        f"{version.at:%Y-%m-%d %H:%M}" if version.at else "-",
    )


def _plain(named: "NamedVersion") -> dict[str, object]:
    version = named.version
    return {
        "model": version.model,
        "digest": version.digest,
        "aliases": list(named.aliases),
        "storage_uri": version.storage_uri,
        "files": [file.model_dump() for file in version.files],
        "lineage": version.lineage.model_dump() if version.lineage else None,
        "by": version.by or None,
        "at": version.at.isoformat() if version.at else None,
    }


def _metrics(version: "ModelVersion") -> str:
    measured = version.lineage.metrics.items() if version.lineage else ()
    return " ".join(f"{name} {value:.4f}" for name, value in measured if value is not None) or "-"
