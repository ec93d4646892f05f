"""What must not be in the bundle: known credentials, images without digest, unsafe pods and more. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from infra.upstream import namespaces
from infra.upstream.credentials import known_credentials
from infra.upstream.images import digest_in, images
from infra.upstream.manifests import Document
from infra.upstream.objects import Identity, is_cluster_scoped
from infra.upstream.part import Level, Part
from infra.upstream.pod_security import forbidden

Law = Literal["credential", "image", "namespace", "pod security", "scope", "waiver", "requirement", "secret"]


class Finding(BaseModel):
    """One thing that must not be installed as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    law: Law
    part: str
    place: str
    """Object and field."""
    reason: str


def findings(
    parts: Mapping[str, tuple[Part, Sequence[Document]]],
    digests: Mapping[str, str],
    *,
    every: Iterable[Part] = (),
) -> list[Finding]:
    """Return everything that is wrong with the rendered parts.

    Args:
        parts: Each part with its objects, by its name.
        digests: Digest by the name of an image, from the lock.
        every: All parts that there are, for those that the given ones need.
    """
    levels: dict[str, Level] = {
        name: level
        for part in (*every, *(part for part, _ in parts.values()))
        for name, level in part.namespaces.items()
    }
    found: list[Finding] = []
    for part, documents in parts.values():
        found += _credentials(part, documents)
        found += _images(part, documents, digests)
        found += [
            Finding(
                law="namespace", part=part.name, place=str(who), reason=f"no part makes namespace {name!r}"
            )
            for who, name in namespaces.unknown(documents, levels)
        ]
        found += _pods(part, documents, levels)
        found += _secrets(part, documents)
    return found + _scopes(parts) + _requirements(parts, every)


def _credentials(part: Part, documents: Sequence[Document]) -> list[Finding]:
    return [
        Finding(law="credential", part=part.name, place=f"{known.object}: {known.place}", reason=known.reason)
        for document in documents
        for known in known_credentials(document)
    ]


def _images(part: Part, documents: Sequence[Document], digests: Mapping[str, str]) -> list[Finding]:
    places: dict[str, list[str]] = {name: ["named by the part"] for name in part.images}
    for document in documents:
        for name, where in images(document, part.not_images).items():
            places.setdefault(name, []).extend(where)
    return [
        Finding(
            law="image",
            part=part.name,
            place=where[0] + (f" and {len(where) - 1} more" if len(where) > 1 else ""),
            reason=f"{name} has no digest",
        )
        for name, where in places.items()
        if not digest_in(name) and not digests.get(name)
    ]


def _pods(part: Part, documents: Sequence[Document], levels: Mapping[str, Level]) -> list[Finding]:
    found = []
    used = set()
    for document in documents:
        identity = Identity.of(document)
        # A cluster's own namespaces have the level that the cluster's owner gave them.
        own: Level = "privileged" if identity.namespace in namespaces.BUILT_IN else "restricted"
        enforced = forbidden(document, levels.get(identity.namespace, own))
        found += [
            _pod_finding(part, identity, f"namespace {identity.namespace} forbids: {control}")
            for control in enforced
        ]
        waived = {
            (waiver.kind, waiver.name, control)
            for waiver in part.waivers
            if (waiver.kind, waiver.name) == (identity.kind, identity.name)
            for control in waiver.controls
        }
        for control in forbidden(document, "restricted"):
            key = (identity.kind, identity.name, control)
            if key in waived:
                used.add(key)
            elif control not in enforced:
                found.append(_pod_finding(part, identity, f"no waiver names: {control}"))
    found += [
        Finding(
            law="waiver",
            part=part.name,
            place=f"{waiver.kind} {waiver.name}",
            reason=f"the waiver of {control!r} is not needed",
        )
        for waiver in part.waivers
        for control in waiver.controls
        if (waiver.kind, waiver.name, control) not in used
    ]
    return found


def _pod_finding(part: Part, identity: Identity, reason: str) -> Finding:
    return Finding(law="pod security", part=part.name, place=str(identity), reason=reason)


def _secrets(part: Part, documents: Sequence[Document]) -> list[Finding]:
    """A Secret that `up` makes must not be in the bundle too: one would overwrite the other."""
    there = {(each.namespace, each.name) for each in map(Identity.of, documents) if each.kind == "Secret"}
    return [
        Finding(
            law="secret",
            part=part.name,
            place=f"Secret {made.namespace}/{made.name}",
            reason="`up` makes it and the bundle has it too",
        )
        for made in part.secrets
        if (made.namespace, made.name) in there
    ]


def _scopes(parts: Mapping[str, tuple[Part, Sequence[Document]]]) -> list[Finding]:
    """Objects are given namespaces by a table of kinds: a definition that says otherwise must be seen."""
    return [
        Finding(
            law="scope",
            part=part.name,
            place=str(Identity.of(document)),
            reason=f"kind {document['spec']['names']['kind']} has scope {document['spec']['scope']}, "
            "infra/upstream/objects.py says otherwise",
        )
        for part, documents in parts.values()
        for document in documents
        if document["kind"] == "CustomResourceDefinition"
        and is_cluster_scoped(document["spec"]["names"]["kind"]) != (document["spec"]["scope"] == "Cluster")
    ]


def _requirements(
    parts: Mapping[str, tuple[Part, Sequence[Document]]], every: Iterable[Part]
) -> list[Finding]:
    there = {*parts, *(part.name for part in every)}
    return [
        Finding(
            law="requirement", part=part.name, place=part.name, reason=f"it needs {name}, which is no part"
        )
        for part, _ in parts.values()
        for name in part.requires
        if name not in there
    ]
