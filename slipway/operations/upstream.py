"""The bundle of upstream's parts: fetch its sources, render it, check it.

Fetching alone needs a network. What is rendered must be what upstream.lock says, to the byte.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from infra.upstream import bundle, checking, lock, object_store, preparing
from infra.upstream.checking import Finding
from infra.upstream.fetching.fetch import Fetched
from infra.upstream.fetching.fetch import fetch as fetch_source
from infra.upstream.lock import Lock, LockedPart
from infra.upstream.part import Part
from infra.upstream.parts import PARTS
from oci.references import Place
from slipway.core import atomic_files
from slipway.core.errors import UsageError
from slipway.core.report import Report, silent
from slipway.operations import upstream_parts
from slipway.operations.upstream_export import export

LOCK_FILE: Final = bundle.LOCK_FILE


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FetchedSource(_Result):
    """A source that is in the cache."""

    part: str
    source: str
    commit: str
    tree: str
    road: str
    """Where it came from: cache, mirror, archive, Go module or git."""


class RenderedPart(_Result):
    """A part whose objects are in the cache."""

    part: str
    version: str
    objects: int
    definitions: int
    bytes: int
    images: int
    changed: bool
    """Whether upstream.lock was changed for it."""


class CheckResult(_Result):
    """Everything that is wrong with the bundle; empty if nothing is."""

    parts: list[str]
    objects: int
    findings: list[Finding]


def fetch(
    names: Sequence[str] = (), *, mirror: Path | None = None, update: bool = False, report: Report = silent
) -> list[FetchedSource]:
    """Bring the sources of the parts into the cache.

    Args:
        names: Parts; none is all.
        mirror: A folder with mirrors or archives, in place of the network.
        update: Accept what a commit has, in place of what the lock says.
        report: Receives what is fetched.

    Raises:
        UsageError: There is no such part, it isn't locked, or the mirror does not have it.
        FailedError: It can't be fetched, or is not what the lock says.
    """
    if mirror is not None and not mirror.is_dir():
        raise UsageError(f"There is no folder {mirror}.", fix="Name a folder with mirrors or archives.")
    current = read_lock()
    go = None if mirror else upstream_parts.BUILDER.go()
    found = []
    for part in chosen(names):
        entry = None if update else bundle.entry_of(part, current)
        trees = {source.name: source.tree for source in entry.sources} if entry else {}
        for source in part.sources:
            report(f"fetching {source.name} {source.commit[:12]}")
            fetched = fetch_source(source, expected=trees.get(source.name), mirror=mirror, go=go)
            found.append(_fetched(part, fetched))
    return found


def render(
    names: Sequence[str] = (),
    *,
    update: bool = False,
    output: Path | None = None,
    mirror: Place | None = None,
    report: Report = silent,
) -> list[RenderedPart]:
    """Render the parts from the cache, without a network, and keep their objects there.

    Args:
        names: Parts; none is all.
        update: Write what was rendered to upstream.lock, in place of comparing it.
        output: A new folder that receives the objects and their lock.
        mirror: From where the objects in that folder take their images; None for upstream's registries.
        report: Receives what is rendered.

    Raises:
        UsageError: There is no such part, it isn't fetched or locked, or a program is missing.
        FailedError: It can't be rendered, or was rendered to something else than the lock says.
    """
    if mirror is not None and output is None:
        raise UsageError(
            "--from needs --output.",
            why="The cache and upstream.lock keep the objects as upstream names their images.",
            fix="Name a new folder for the objects: --output FOLDER",
        )
    if output is not None and output.exists():
        raise UsageError(f"{output} exists.", fix="Name a folder that does not; it will be made.")
    current = read_lock()
    parts = chosen(names)
    programs = preparing.found_programs(parts, upstream_parts.BUILDER, report)
    found = []
    for part in parts:
        report(f"rendering {part.name} {part.version}")
        entry = None if update else bundle.entry_of(part, current)
        rendered, documents = preparing.rendered_part(part, entry, current, programs, twice=update)
        earlier = current.find(part.name)
        if entry is not None:
            preparing.compare(part, rendered, entry)
        for document in documents:
            object_store.put(object_store.canonical(document))
        current = current.with_part(rendered)
        found.append(_rendered(rendered, changed=rendered != earlier))
    if update:
        everything = Lock(part=tuple(each for each in current.part if each.name in PARTS))
        atomic_files.replace(LOCK_FILE, lock.dumps(everything))
    if output is not None:
        export([(part, bundle.entry_of(part, current)) for part in parts], output, mirror=mirror)
    return found


def check(names: Sequence[str] = ()) -> CheckResult:
    """Examine the rendered objects of the parts: nothing of them is fetched or rendered.

    Raises:
        UsageError: There is no such part, or it isn't locked or rendered.
    """
    current = read_lock()
    parts = {part.name: (part, bundle.documents_of(bundle.entry_of(part, current))) for part in chosen(names)}
    digests = {image.name: image.digest for part in current.part for image in part.images}
    return CheckResult(
        parts=list(parts),
        objects=sum(len(documents) for _, documents in parts.values()),
        findings=checking.findings(parts, digests, every=PARTS.values()),
    )


def chosen(names: Sequence[str]) -> list[Part]:
    """Return the named parts; all of them if none is named.

    Raises:
        UsageError: There is no such part.
    """
    return bundle.chosen(names, PARTS)


def read_lock(path: Path | None = None) -> Lock:
    """Return the committed lock, or the one at `path`; an empty one if there is none.

    Raises:
        UsageError: It is damaged.
    """
    return bundle.read_lock(path or LOCK_FILE)


def _fetched(part: Part, fetched: Fetched) -> FetchedSource:
    source = fetched.source
    return FetchedSource(
        part=part.name, source=source.name, commit=source.commit, tree=fetched.digest, road=fetched.road
    )


def _rendered(entry: LockedPart, *, changed: bool) -> RenderedPart:
    return RenderedPart(
        part=entry.name,
        version=entry.version,
        objects=len(entry.objects),
        definitions=sum(each.kind == "CustomResourceDefinition" for each in entry.objects),
        bytes=sum(each.size for each in entry.objects),
        images=len(entry.images),
        changed=changed,
    )
