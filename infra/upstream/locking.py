"""From rendered parts to the lock, and where the two differ. Pure."""

from collections.abc import Mapping, Sequence

from infra.upstream import object_store
from infra.upstream.images import digest_in, images
from infra.upstream.lock import LockedImage, LockedObject, LockedPart, LockedSource
from infra.upstream.manifests import Document
from infra.upstream.objects import Identity
from infra.upstream.part import Helm, Kustomize, Part
from infra.versions import HELM, KUBERNETES, KUSTOMIZE


def locked(
    part: Part, documents: Sequence[Document], trees: Mapping[str, str], earlier: LockedPart | None
) -> LockedPart:
    """Return the lock's entry of a part.

    Args:
        part: The part.
        documents: Its objects.
        trees: Digest of the files of each source, by its name.
        earlier: The present entry: digests of images that are still named are kept.
    """
    places: dict[str, list[str]] = {name: ["the part"] for name in part.images}
    for document in documents:
        for name, where in images(document, part.not_images).items():
            places.setdefault(name, []).extend(where)
    digests = {image.name: image.digest for image in earlier.images} if earlier else {}
    return LockedPart(
        name=part.name,
        version=part.version,
        requires=part.requires,
        render=tuple(step.command for step in part.steps),
        tools=tools(part),
        sources=tuple(
            LockedSource(
                name=source.name,
                repository=source.repository,
                commit=source.commit,
                tree=trees[source.name],
            )
            for source in part.sources
        ),
        objects=tuple(_object(part, document) for document in documents),
        images=tuple(
            LockedImage(
                name=name, digest=digest_in(name) or digests.get(name, ""), places=tuple(places[name])
            )
            for name in sorted(places)
        ),
    )


def tools(part: Part) -> dict[str, str]:
    """Return the version of each program that renders the part, and of Kubernetes if it is told."""
    versions = {}
    if any(isinstance(step, Helm) for step in part.steps):
        versions["helm"] = HELM
        # Charts ask for the version of Kubernetes.
        versions["kubernetes"] = KUBERNETES
    if any(isinstance(step, Kustomize) for step in part.steps):
        versions["kustomize"] = KUSTOMIZE
    return versions


def pins_that_differ(part: Part, entry: LockedPart) -> list[str]:
    """Return what the part's module says and the lock does not, in words."""
    found = []
    if part.version != entry.version:
        found.append(f"version {part.version}, locked {entry.version}")
    commits = {source.name: source.commit for source in entry.sources}
    found += [
        f"{source.name} at {source.commit[:12]}, locked {commits.get(source.name, 'nothing')[:12]}"
        for source in part.sources
        if commits.get(source.name) != source.commit
    ]
    if tools(part) != entry.tools:
        found.append(f"rendered by {_named(tools(part))}, locked {_named(entry.tools)}")
    return found


def differences(rendered: LockedPart, entry: LockedPart) -> list[str]:
    """Return each object that was rendered to something else than the lock says, in words."""
    now = {each.identity: each for each in rendered.objects}
    then = {each.identity: each for each in entry.objects}
    return [
        *(f"{identity} is not in the lock" for identity in sorted(now.keys() - then.keys())),
        *(f"{identity} is in the lock only" for identity in sorted(then.keys() - now.keys())),
        *(
            f"{identity} has digest {now[identity].sha256[:12]}, locked {then[identity].sha256[:12]}"
            for identity in sorted(now.keys() & then.keys())
            if now[identity] != then[identity]
        ),
        *(
            f"image {image.name} is named elsewhere or not locked"
            for image in rendered.images
            if image not in entry.images
        ),
    ]


def _object(part: Part, document: Document) -> LockedObject:
    identity = Identity.of(document)
    content = object_store.canonical(document)
    return LockedObject(
        api=identity.api_version,
        kind=identity.kind,
        namespace=identity.namespace,
        name=identity.name,
        stage=int(part.stage_of(identity.kind)),
        sha256=object_store.digest(content),
        size=len(content),
    )


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "nothing"
