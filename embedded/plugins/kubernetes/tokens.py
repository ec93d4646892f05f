"""From a type token of the SDK to a Kubernetes kind, and what of the SDK is refused, by name. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from slipway.core.errors import UsageError

_REFUSED_MODULES: Final = {
    "helm.sh/v3": "Helm charts and releases",
    "helm.sh/v4": "Helm charts and releases",
    "helm": "Helm charts and releases",
    "yaml": "YAML components (ConfigFile, ConfigGroup)",
    "yaml/v2": "YAML components (ConfigFile, ConfigGroup)",
    "kustomize": "Kustomize directories",
    "kustomize/v2": "Kustomize directories",
}
_OFFICIAL: Final = "use the official plugin pulumi-resource-kubernetes, or declare the objects themselves"
_SHORT_GROUPS: Final = frozenset({"", "apps", "batch", "autoscaling", "policy", "extensions", "events"})


@dataclass(frozen=True)
class Kind:
    """A kind of object, as `apiVersion` and `kind` name it."""

    api_version: str
    name: str

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        """Write it as Kubernetes does in messages."""
        return f"{self.api_version} {self.name}"


def kind_of(token: str, properties: dict[str, Any] | None = None) -> Kind:
    """Return the kind behind a token; the object's own `apiVersion` and `kind` go first.

    Raises:
        UsageError: for what this provider does not support.
    """
    _package, _, rest = token.partition(":")
    module, _, name = rest.rpartition(":")
    refuse(token)
    api_version = module.removeprefix("core/") if module.startswith("core/") else module
    told = properties or {}
    version, kind = told.get("apiVersion"), told.get("kind")
    return Kind(
        version if isinstance(version, str) and version else api_version,
        kind if isinstance(kind, str) and kind else name,
    )


def refuse(token: str) -> None:
    """Raise a UsageError when the token names something that only the official plugin does."""
    _package, _, rest = token.partition(":")
    module, _, name = rest.rpartition(":")
    if module in _REFUSED_MODULES:
        raise UsageError(f"{token}: {_REFUSED_MODULES[module]} are not supported here.", fix=_advice())
    if not module or "/" not in module:
        raise UsageError(f"{token} is not a Kubernetes object.", fix=_advice())
    built_in = _is_built_in(module.rpartition("/")[0].removeprefix("core"))
    if built_in and name.endswith("Patch"):
        raise UsageError(f"{token}: Patch resources are not supported here.", fix=_advice())
    if built_in and name.endswith("List"):
        raise UsageError(f"{token}: List kinds are not supported here.", fix=_advice())


def refuse_lookup(token: str) -> UsageError:
    """Return the refusal of an invoke, a call or a component that the plugin would have to run."""
    module = token.split(":")[1] if token.count(":") > 1 else token
    about = _REFUSED_MODULES.get(module, "functions and components of the provider")
    return UsageError(f"{token}: {about} are not supported here.", fix=_advice())


def _advice() -> str:
    return f"This is Slipway's stand-in for the Kubernetes provider: {_OFFICIAL}."


def _is_built_in(group: str) -> bool:
    return group in _SHORT_GROUPS or group.endswith(".k8s.io")
