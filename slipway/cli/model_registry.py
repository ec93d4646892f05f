"""`slipway model show`, `versions`, `history`, `verify`: what the registry holds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from infra.contract import PlatformOutputs
from serving import access, rollout, served
from slipway.cli import console
from slipway.cli.options import Stack, Tenant
from slipway.core.errors import UsageError
from slipway.operations import housekeeping, workspace
from storage.registry.records import ModelVersion
from storage.registry.registry import SHORT_DIGEST, Registry

Name = Annotated[str, typer.Argument(help="Model.")]


def open_registry(outputs: PlatformOutputs, tenant: str) -> Registry:
    """Open the tenant's registry with the key of its people, who read it only."""
    return Registry(access.open_store(outputs, tenant, "editor"), outputs.store.models_bucket, tenant)


def show(
    context: typer.Context,
    model: Name,
    version: Annotated[
        str | None, typer.Option(help="Digest, 12 digits suffice; the champion by default.")
    ] = None,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Show a version: its files, and the run, code and data that it came from.

    Example:  slipway model show churn --tenant team-a
    """
    registry = open_registry(workspace.outputs(stack), tenant)
    with console.phase("Read the registry") as report:
        report(f"version {version or rollout.CHAMPION} of {model}")
        found = registry.show(model, _digest(registry, model, version))
        aliases = _aliases(registry, model).get(found.digest, [])
    if context.obj["json"]:
        console.show_json(_plain(found, aliases))
        return
    pairs: list[tuple[str, object]] = [
        ("digest", found.digest),
        ("aliases", ", ".join(aliases) or "-"),
        ("uri", found.storage_uri),
        ("published", f"{found.at or '-'} by {found.by or '-'}"),
    ]
    if found.lineage:
        told = found.lineage.model_dump()
        metrics = told.pop("metrics")
        frameworks = told.pop("frameworks")
        pairs += [(name.replace("_", " "), value) for name, value in told.items()]
        pairs += [(name, value) for name, value in (*metrics.items(), *frameworks.items())]
    console.show_pairs(pairs, title=f"Model {model}")
    console.show_table(("file", "bytes", "sha256"), [(f.path, f.size, f.sha256) for f in found.files])


def versions(context: typer.Context, model: Name, tenant: Tenant = "team-a", stack: Stack = "local") -> None:
    """List a model's versions with what they came from.

    Example:  slipway model versions churn --tenant team-a
    """
    registry = open_registry(workspace.outputs(stack), tenant)
    with console.phase("Read the registry") as report:
        report(f"versions of {model}")
        aliases = _aliases(registry, model)
        found = [registry.show(model, digest) for digest in _known(registry, model)]
    if context.obj["json"]:
        console.show_json([_plain(version, aliases.get(version.digest, [])) for version in found])
        return
    console.show_table(
        ("version", "aliases", "run", "commit", "metrics", "bytes", "published"),
        [
            (
                version.digest[:SHORT_DIGEST],
                ", ".join(aliases.get(version.digest, [])) or "-",
                version.lineage.run_id if version.lineage else "-",
                (version.lineage.git_commit if version.lineage else "-")[:SHORT_DIGEST],
                _metrics(version),
                version.size,
                f"{version.at:%Y-%m-%d %H:%M}" if version.at else "-",
            )
            for version in found
        ],
    )


def history(
    context: typer.Context,
    model: Name,
    last: Annotated[int | None, typer.Option(min=1, help="The last entries only.")] = None,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """List what was promoted when, by whom and why.

    Example:  slipway model history churn --last 10
    """
    registry = open_registry(workspace.outputs(stack), tenant)
    with console.phase("Read the log") as report:
        report(f"log of {model}")
        entries = registry.history(model, last=last)
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
                entry.details.get("reason", "-"),
            )
            for entry in entries
        ],
    )


def verify(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Model; none with --served.")] = None,
    version: Annotated[
        str | None, typer.Option(help="Digest, 12 digits suffice; the champion by default.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every version of the model.")] = False,
    being_served: Annotated[
        bool, typer.Option("--served", help="What every InferenceService of the tenant serves.")
    ] = False,
    tenant: Tenant = "team-a",
    stack: Stack = "local",
) -> None:
    """Read versions back and hash every byte; exit 1 if one differs.

    With --served also whether each InferenceService loads one of the tenant's versions, and whether
    that would expire.

    Example:  slipway model verify churn --all
    """
    if (model is None) != being_served or (version is not None and (every or being_served)):
        raise UsageError(
            "It is not clear what to verify.",
            fix="Name a model with --version or --all, or give --served.",
        )
    outputs = workspace.outputs(stack)
    with console.phase("Verify") as report:
        if model is None:
            checks = housekeeping.check_served(outputs, tenant, report)
        else:
            registry = open_registry(outputs, tenant)
            chosen = _known(registry, model) if every else [_digest(registry, model, version)]
            checks = []
            for digest in chosen:
                report(f"reading {digest[:SHORT_DIGEST]} back")
                checks.append(served.check_version(registry, model, digest))
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


def _digest(registry: Registry, model: str, version: str | None) -> str:
    if version is not None:
        return registry.find_version(model, version)
    held = registry.read_alias(model, rollout.CHAMPION)
    if held is None:
        raise UsageError(
            f"Model {model!r} has no champion.",
            fix=f"Name a version: `slipway model versions {model}` lists them.",
        )
    return held.record.digest


def _known(registry: Registry, model: str) -> list[str]:
    found = registry.list_versions(model)
    if not found:
        raise UsageError(f"There is no version of a model {model!r}.", fix="See `slipway model list`.")
    return found


def _aliases(registry: Registry, model: str) -> Mapping[str, list[str]]:
    """Aliases by the digest that they point at."""
    found: dict[str, list[str]] = {}
    for alias in registry.list_aliases(model):
        held = registry.read_alias(model, alias)
        if held is not None:
            found.setdefault(held.record.digest, []).append(alias)
    return found


def _plain(version: ModelVersion, aliases: list[str]) -> dict[str, object]:
    return {
        "model": version.model,
        "digest": version.digest,
        "aliases": aliases,
        "storage_uri": version.storage_uri,
        "files": [file.model_dump() for file in version.files],
        "lineage": version.lineage.model_dump() if version.lineage else None,
        "by": version.by or None,
        "at": version.at.isoformat() if version.at else None,
    }


def _metrics(version: ModelVersion) -> str:
    measured = version.lineage.metrics.items() if version.lineage else ()
    return " ".join(f"{name} {value:.4f}" for name, value in measured if value is not None) or "-"
