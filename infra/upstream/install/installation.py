"""Upstream's parts, installed object by object, stage after stage."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pulumi

from infra.cluster.handle import Connection
from infra.cluster.registry_login import RegistryLogin
from infra.names import PART_OF
from infra.pod_defaults import NOT_AWAITED
from infra.upstream.install.definitions import CustomResourceDefinitions
from infra.upstream.install.ready import Document, Ready
from infra.upstream.install.shared_names import INSTALLATION
from infra.upstream.pod_security import POD_TEMPLATES
from infra.upstream.pull_secret import namespaces_with_pods
from oci.rewriting import occurrences

_DEFINITION: Final = "CustomResourceDefinition"
_READ_AT_START: Final = frozenset({"ServiceAccount", "ConfigMap", "Secret"})
"""Kinds that pods need in order to start."""
_AWAITED: Final = frozenset(
    {"DaemonSet", "Deployment", "Ingress", "Job", "PersistentVolumeClaim", "Service", "StatefulSet"}
)
"""Kinds for which the Kubernetes provider waits at each creation."""
_NOT_KEPT_EMPTY: Final = frozenset({"data", "rules"})
"""Fields of ConfigMaps, Secrets and roles that upstream declares empty, for a controller to fill."""
_OWNED_BY_OTHERS: Final[Mapping[str, Sequence[str]]] = {
    "MutatingWebhookConfiguration": ["webhooks[*].clientConfig.caBundle"],
    "ValidatingWebhookConfiguration": ["webhooks[*].clientConfig.caBundle"],
}
"""By kind, properties that controllers of the cluster fill in."""


@dataclass(frozen=True, kw_only=True)
class PartObjects:
    """One part, rendered."""

    name: str
    stages: Mapping[int, Sequence[Document]]
    """Its objects by stage; each has a name, and a namespace where its kind has one."""

    secrets: Sequence[Document] = ()
    """Secrets with values of the stack's own, which no digest is made of."""

    secrets_stage: int = 0
    """The stage that begins with making them."""

    samples: Sequence[Document] = ()
    """Objects whose creation is tried without effect: each webhook must answer."""

    refused: Mapping[str, Document] = field(default_factory=dict)
    """Objects whose creation a webhook must refuse, by words of its refusal."""

    samples_stage: int = 0
    """The stage that ends with trying both."""


@dataclass(frozen=True, kw_only=True)
class InstallationArgs:
    """What to install, and where."""

    parts: Sequence[PartObjects]
    connection: Connection
    images: Mapping[str, pulumi.Resource] = field(default_factory=dict)
    """By an image's reference, what makes it available: workloads that name it are made afterwards."""

    login: RegistryLogin = field(default_factory=RegistryLogin)
    """With which nodes pull the images of the parts: a Secret in each of their namespaces with pods."""

    seconds: float = 600
    """Time limit of each stage."""


class Installation(pulumi.ComponentResource):
    """Objects of parts: a stage begins when everything of the one before it is ready."""

    ready: pulumi.Resource
    """Exists once the last stage is ready."""

    applied: Sequence[pulumi.Resource]
    """Objects of the last stage: they exist, and may not be ready."""

    namespaces: Mapping[str, pulumi.Resource]
    """Namespaces of the parts by their names."""

    def __init__(self, name: str, args: InstallationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare every object, and after each stage the wait for it."""
        super().__init__(INSTALLATION, name, None, opts)
        self._name, self._args = name, args
        self._with_pods = namespaces_with_pods(
            document for part in args.parts for documents in part.stages.values() for document in documents
        )
        self.ready = self
        self.applied = []
        self._namespaces: dict[str, pulumi.Resource] = {}
        self.namespaces = self._namespaces
        before: list[pulumi.Resource] = []
        with _without_stack_traces():
            for stage in sorted({stage for part in args.parts for stage in part.stages}):
                self.ready = self._stage(stage, before)
                before = [self.ready]
        self.register_outputs({})

    def _stage(self, stage: int, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        made: list[pulumi.Resource] = []
        every: list[Document] = []
        for part in self._args.parts:
            documents = part.stages.get(stage, ())
            every.extend(documents)
            definitions = [each for each in documents if each["kind"] == _DEFINITION]
            if definitions:
                made.append(self._definitions(part.name, stage, definitions, before))
        made += [
            self._object(secret, before)
            for part in self._args.parts
            if part.secrets_stage == stage
            for secret in part.secrets
        ]
        after = [*before, *made]
        groups = _in_order(each for each in every if each["kind"] != _DEFINITION)
        for position, group in enumerate(groups):
            created = [self._object(each, after) for each in group]
            created += [secret for each in group for secret in self._pull_secret(each, created)]
            made += created
            if position < len(groups) - 1:
                after = [self._made(f"{stage}-{position}", [*after, *created])]
        self.applied = made
        tried = [part for part in self._args.parts if part.samples_stage == stage]
        return Ready(
            f"{self._name}-ready-{stage}",
            documents=every,
            samples=[sample for part in tried for sample in part.samples],
            refused={words: each for part in tried for words, each in part.refused.items()},
            connection=self._args.connection,
            seconds=self._args.seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*before, *made]),
        )

    def _pull_secret(self, document: Document, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """Declare the Secret of a namespace with pods, which the objects in it are made after."""
        name = document["metadata"]["name"]
        if document["kind"] != "Namespace" or name not in self._with_pods:
            return []
        return self._args.login.declare(
            f"{self._name}-{name}", name, PART_OF, pulumi.ResourceOptions(parent=self, depends_on=[*after])
        )

    def _made(self, name: str, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        """Declare what exists once a group is made.

        Were every object of the next group to depend on every object of this one, the dependencies would be
        most of the state.
        """
        return Ready(
            f"{self._name}-made-{name}",
            documents=[],
            samples=[],
            connection=self._args.connection,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after]),
        )

    def _definitions(
        self, part: str, stage: int, documents: Sequence[Document], after: Sequence[pulumi.Resource]
    ) -> pulumi.Resource:
        return CustomResourceDefinitions(
            f"{self._name}-{part}-definitions-{stage}",
            part=part,
            documents=documents,
            connection=self._args.connection,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after]),
        )

    def _object(self, document: Document, after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        kind, metadata = document["kind"], document["metadata"]
        version = document["apiVersion"]
        place = (self._name, version.partition("/")[0], kind, metadata.get("namespace"), metadata["name"])
        # Untyped: the SDK's classes copy and rename every property, which takes seconds for a whole platform.
        made = pulumi.CustomResource(
            # The provider calls the group without a name `core`.
            f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}",
            "-".join(filter(None, place)).lower(),
            {**_declared(document)},
            pulumi.ResourceOptions(
                parent=self,
                depends_on=[*after, *self._images(document)],
                ignore_changes=[*_OWNED_BY_OTHERS.get(kind, ())],
            ),
        )
        if kind == "Namespace":
            self._namespaces[metadata["name"]] = made
        return made

    def _images(self, document: Document) -> list[pulumi.Resource]:
        if document["kind"] not in POD_TEMPLATES:
            return []
        named = {reference for _, reference in occurrences(document, self._args.images)}
        return [self._args.images[reference] for reference in sorted(named)]


@contextmanager
def _without_stack_traces() -> Iterator[None]:
    """Make the SDK record no stack trace with a resource.

    That of an object of a part says nothing, and takes more than a kilobyte of the state: 0.8 MB with every
    part. The SDK looks for the resource's constructor in the frames that Python gives it.
    """
    before = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if before is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = before


def _declared(document: Document) -> Document:
    """Return what is declared of an object.

    The stage's own wait is the only one. That of the Kubernetes provider may end without a pod's reason,
    since it skips pods that it hears of before their ReplicaSet, and it waits for claims that only a pod
    binds. The rules of an aggregated ClusterRole belong to the controller that aggregates them. What the API
    server does not keep where it is empty would show as a change for ever.
    """
    document = {key: value for key, value in document.items() if value or key not in _NOT_KEPT_EMPTY}
    if "aggregationRule" in document:
        document.pop("rules", None)
    if document["kind"] not in _AWAITED:
        return document
    metadata = document["metadata"]
    annotations = {**(metadata.get("annotations") or {}), **NOT_AWAITED}
    return {**document, "metadata": {**metadata, "annotations": annotations}}


def _in_order(documents: Iterable[Document]) -> list[list[Document]]:
    """Return the documents in groups: namespaces, what others read at their start, everything else, Jobs."""
    groups: tuple[list[Document], ...] = ([], [], [], [])
    for each in documents:
        kind = each["kind"]
        # A Job runs once, with the rights and on the objects that are there at that time.
        group = 0 if kind == "Namespace" else 1 if kind in _READ_AT_START else 3 if kind == "Job" else 2
        groups[group].append(each)
    return [group for group in groups if group]
