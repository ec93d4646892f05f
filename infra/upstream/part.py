"""What one part of upstream is: where it comes from, how it renders, and what Slipway changes. Pure.

Each module of `infra.upstream.parts` holds one `Part`; what is derived from it is in upstream.lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal

Level = Literal["privileged", "baseline", "restricted"]
"""A level of Kubernetes' Pod Security Standards."""


class Stage(IntEnum):
    """When the objects of a part are applied; a stage begins when the probes of the previous one pass."""

    DEFINITIONS = 0
    """Namespaces and CustomResourceDefinitions."""
    CERTIFICATES = 1
    """cert-manager."""
    ISSUERS = 2
    """Issuers, Certificates, and the mesh."""
    IDENTITY = 3
    """Login and Knative."""
    STORES = 4
    """Databases."""
    CONTROLLERS = 5
    RUNTIMES = 6
    """Objects of the controllers' own kinds, and user interfaces."""
    TENANTS = 7


_STAGE_OF_KIND: Final[Mapping[str, Stage]] = {
    "Namespace": Stage.DEFINITIONS,
    "CustomResourceDefinition": Stage.DEFINITIONS,
    "Issuer": Stage.ISSUERS,
    "ClusterIssuer": Stage.ISSUERS,
    "Certificate": Stage.ISSUERS,
}


@dataclass(frozen=True)
class GoModule:
    """The Go module that has the same files, for machines that reach a module proxy and no git server."""

    path: str
    version: str


@dataclass(frozen=True)
class Source:
    """The files of one repository at one commit that a part uses."""

    name: str
    """The folder of the part's tree that has the files; also the repository's name in a mirror."""
    repository: str
    commit: str
    folders: tuple[str, ...]
    """Folders or files, relative to the repository; nothing else is read."""
    module: GoModule | None = None


@dataclass(frozen=True)
class Rewrite:
    """Replaces text in a file of the tree before rendering; it must occur exactly once.

    For bases that upstream fetches by URL: they become sources of their own.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Kustomize:
    """`kustomize build` of a folder of the tree."""

    path: str

    @property
    def command(self) -> str:
        """Name the step in the lock."""
        return f"kustomize build {self.path}"


@dataclass(frozen=True)
class Helm:
    """`helm template` of a chart of the tree."""

    chart: str
    release: str
    namespace: str
    values: Mapping[str, Any] = field(default_factory=dict)
    subcharts: tuple[str, ...] = ()
    """Charts of the tree that it depends on, in place of those that helm would fetch."""

    @property
    def command(self) -> str:
        """Name the step in the lock; the values are in the part's module."""
        return f"helm template {self.release} {self.chart} --namespace {self.namespace}"


@dataclass(frozen=True)
class Files:
    """Plain manifests of the tree: files, or folders whose YAML files are read by name."""

    paths: tuple[str, ...]

    @property
    def command(self) -> str:
        """Name the step in the lock."""
        return f"files {' '.join(self.paths)}"


@dataclass(frozen=True)
class Own:
    """Objects of Slipway's own, such as a namespace that several parts share."""

    objects: tuple[Mapping[str, Any], ...]
    command: str = "own"


Step = Kustomize | Helm | Files | Own


@dataclass(frozen=True)
class Target:
    """The objects that a patch changes; it must match at least one."""

    kind: str
    name: str = "*"
    namespace: str | None = None


@dataclass(frozen=True)
class Remove:
    """Leaves the objects out."""

    target: Target


@dataclass(frozen=True)
class Set:
    """Sets one field; `value` None removes it.

    A step of the path is a key, a list's index, or the `name` of a list's item; the last key may be new.
    """

    target: Target
    path: tuple[str | int, ...]
    value: Any


@dataclass(frozen=True)
class Append:
    """Adds an item to a list, which must be there; a path as of `Set`."""

    target: Target
    path: tuple[str | int, ...]
    value: Any


Patch = Remove | Set | Append


@dataclass(frozen=True)
class MadeSecret:
    """A Secret that `up` has to make from the stack's own secrets; the bundle only knows its keys."""

    namespace: str
    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Waiver:
    """A workload that may be below the level `restricted`, because upstream's needs it."""

    kind: str
    name: str
    controls: tuple[str, ...]
    """Controls of the Pod Security Standards, as `check` names them."""
    reason: str


@dataclass(frozen=True)
class Available:
    """The Deployment has the condition Available."""

    namespace: str
    deployment: str


@dataclass(frozen=True)
class CaInjected:
    """Every webhook of the configuration has a caBundle."""

    kind: Literal["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]
    name: str


@dataclass(frozen=True)
class Accepts:
    """The API server accepts the object in a dry run: its webhooks answer."""

    document: Mapping[str, Any]


@dataclass(frozen=True)
class Refuses:
    """A webhook refuses the object in a dry run with these words, which shows that it answers.

    Where an object that passes would need something that other parts or tenants have.
    """

    document: Mapping[str, Any]
    words: str


Probe = Available | CaInjected | Accepts | Refuses


@dataclass(frozen=True)
class Part:
    """One official part, as Slipway installs it."""

    name: str
    version: str
    stage: Stage
    """Of the objects whose kind has no stage of its own."""
    steps: tuple[Step, ...]
    sources: tuple[Source, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of Slipway's own that are added to the tree before it renders; content by path."""
    rewrites: tuple[Rewrite, ...] = ()
    patches: tuple[Patch, ...] = ()
    namespaces: Mapping[str, Level] = field(default_factory=dict)
    """The part's own namespaces, and the level of Pod Security that is enforced in each."""
    requires: tuple[str, ...] = ()
    """Parts that must be installed before."""
    secrets: tuple[MadeSecret, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    not_images: tuple[str, ...] = ()
    """Strings that look like an image and are none."""
    images: tuple[str, ...] = ()
    """Images that no manifest names whole, such as one that a program composes."""
    stages: Mapping[str, Stage] = field(default_factory=dict)
    """Stages by kind that differ from the part's."""
    probes: tuple[Probe, ...] = ()

    def stage_of(self, kind: str) -> Stage:
        """Return the stage in which the part's objects of this kind are applied."""
        return self.stages.get(kind, _STAGE_OF_KIND.get(kind, self.stage))
