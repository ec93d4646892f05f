"""A tenant's model registry, read with the editor's key."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.contract import PlatformOutputs
from serving import access
from serving.endpoint import CHAMPION
from slipway.core.errors import UsageError
from slipway.core.report import Report, silent
from storage.registry.records import HistoryEntry, ModelVersion
from storage.registry.registry import Registry


@dataclass(frozen=True)
class RegisteredModel:
    """A model, its number of versions, and its champion."""

    model: str
    versions: int
    champion: str | None
    """Digest of the version that the alias `champion` points to."""
    promotion: int | None
    """Number of times that the alias was moved."""


@dataclass(frozen=True)
class NamedVersion:
    """A version with the aliases that point to it."""

    version: ModelVersion
    aliases: tuple[str, ...]


def open_registry(outputs: PlatformOutputs, tenant: str) -> Registry:
    """Open the tenant's registry with the editor's key, which can only read it."""
    return Registry(access.open_store(outputs, tenant, "editor"), outputs.store.models_bucket, tenant)


def models(outputs: PlatformOutputs, tenant: str, *, deleted: bool = False) -> list[RegisteredModel]:
    """Return the tenant's models; with `deleted` also those of which only the log is left."""
    registry = open_registry(outputs, tenant)
    listed = []
    for name in registry.list_models():
        champion = registry.read_alias(name, CHAMPION)
        model = RegisteredModel(
            name,
            len(registry.list_versions(name)),
            champion.record.digest if champion else None,
            champion.record.number if champion else None,
        )
        if deleted or model.versions or model.champion:
            listed.append(model)
    return listed


def show(
    outputs: PlatformOutputs, tenant: str, model: str, version: str | None, report: Report = silent
) -> NamedVersion:
    """Return a version by the first digits of its digest; the champion by default.

    Raises:
        UsageError: There is no such version, or no champion.
    """
    registry = open_registry(outputs, tenant)
    report(f"version {version or CHAMPION} of {model}")
    shown = registry.show(model, digest_of(registry, model, version))
    return NamedVersion(shown, _aliases(registry, model).get(shown.digest, ()))


def versions(
    outputs: PlatformOutputs, tenant: str, model: str, report: Report = silent
) -> list[NamedVersion]:
    """Return all versions of a model; UsageError if there are none."""
    registry = open_registry(outputs, tenant)
    report(f"versions of {model}")
    aliases = _aliases(registry, model)
    return [
        NamedVersion(registry.show(model, digest), aliases.get(digest, ()))
        for digest in known_digests(registry, model)
    ]


def history(
    outputs: PlatformOutputs, tenant: str, model: str, *, last: int | None = None, report: Report = silent
) -> list[HistoryEntry]:
    """Return a model's promotion log, or only its last entries."""
    registry = open_registry(outputs, tenant)
    report(f"log of {model}")
    return registry.history(model, last=last)


def digest_of(registry: Registry, model: str, version: str | None) -> str:
    """Return the digest that starts with `version`, or the champion's.

    Raises:
        UsageError: There is no such version, or no champion.
    """
    if version is not None:
        return registry.find_version(model, version)
    champion = registry.read_alias(model, CHAMPION)
    if champion is None:
        raise UsageError(
            f"Model {model!r} has no champion.",
            fix=f"Name a version: `slipway model versions {model}` lists them.",
        )
    return champion.record.digest


def known_digests(registry: Registry, model: str) -> list[str]:
    """Return the digests of a model's versions; UsageError if there are none."""
    digests = registry.list_versions(model)
    if not digests:
        raise UsageError(f"There is no version of a model {model!r}.", fix="See `slipway model list`.")
    return digests


def _aliases(registry: Registry, model: str) -> Mapping[str, tuple[str, ...]]:
    """Return the aliases by the digest that they point to."""
    aliases: dict[str, tuple[str, ...]] = {}
    for alias in registry.list_aliases(model):
        snapshot = registry.read_alias(model, alias)
        if snapshot is not None:
            digest = snapshot.record.digest
            aliases[digest] = (*aliases.get(digest, ()), alias)
    return aliases
