"""What a tenant's registry of models holds, read with the key of its people."""

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
    """A model with what is served of it."""

    model: str
    versions: int
    champion: str | None
    """Digest of the version that the alias `champion` names."""
    promotion: int | None
    """How often that alias was moved."""


@dataclass(frozen=True)
class NamedVersion:
    """A version with the aliases that name it."""

    version: ModelVersion
    aliases: tuple[str, ...]


def open_registry(outputs: PlatformOutputs, tenant: str) -> Registry:
    """Open the tenant's registry with the key of its people, who read it only."""
    return Registry(access.open_store(outputs, tenant, "editor"), outputs.store.models_bucket, tenant)


def models(outputs: PlatformOutputs, tenant: str, *, deleted: bool = False) -> list[RegisteredModel]:
    """Return the tenant's models; with `deleted` also those of which only the log is left."""
    registry = open_registry(outputs, tenant)
    found = []
    for name in registry.list_models():
        held = registry.read_alias(name, CHAMPION)
        model = RegisteredModel(
            name,
            len(registry.list_versions(name)),
            held.record.digest if held else None,
            held.record.number if held else None,
        )
        if deleted or model.versions or model.champion:
            found.append(model)
    return found


def show(
    outputs: PlatformOutputs, tenant: str, model: str, version: str | None, report: Report = silent
) -> NamedVersion:
    """Return a version by the first digits of its digest; the champion where none are given.

    Raises:
        UsageError: There is no such version, or no champion.
    """
    registry = open_registry(outputs, tenant)
    report(f"version {version or CHAMPION} of {model}")
    found = registry.show(model, digest_of(registry, model, version))
    return NamedVersion(found, _aliases(registry, model).get(found.digest, ()))


def versions(
    outputs: PlatformOutputs, tenant: str, model: str, report: Report = silent
) -> list[NamedVersion]:
    """Return all versions of a model; UsageError where there are none."""
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
    """Return a model's log, or its last entries only."""
    registry = open_registry(outputs, tenant)
    report(f"log of {model}")
    return registry.history(model, last=last)


def digest_of(registry: Registry, model: str, version: str | None) -> str:
    """Return the digest of the version that `version` begins, or of the champion.

    Raises:
        UsageError: There is no such version, or no champion.
    """
    if version is not None:
        return registry.find_version(model, version)
    held = registry.read_alias(model, CHAMPION)
    if held is None:
        raise UsageError(
            f"Model {model!r} has no champion.",
            fix=f"Name a version: `slipway model versions {model}` lists them.",
        )
    return held.record.digest


def known_digests(registry: Registry, model: str) -> list[str]:
    """Return the digests of a model's versions; UsageError where there are none."""
    found = registry.list_versions(model)
    if not found:
        raise UsageError(f"There is no version of a model {model!r}.", fix="See `slipway model list`.")
    return found


def _aliases(registry: Registry, model: str) -> Mapping[str, tuple[str, ...]]:
    """Return the aliases by the digest that they name."""
    found: dict[str, tuple[str, ...]] = {}
    for alias in registry.list_aliases(model):
        held = registry.read_alias(model, alias)
        if held is not None:
            found[held.record.digest] = (*found.get(held.record.digest, ()), alias)
    return found
