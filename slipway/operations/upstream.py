"""The bundle of upstream's parts: fetch its sources, render it, check it.

Fetching alone needs a network. What is rendered must be what upstream.lock says, to the byte.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from embedded import toolchain
from embedded.toolchain import golang
from infra.upstream import bundle, checking, lock, locking, object_store
from infra.upstream.checking import Finding
from infra.upstream.fetching import source_store
from infra.upstream.fetching.fetch import Fetched
from infra.upstream.fetching.fetch import fetch as fetch_source
from infra.upstream.lock import Lock, LockedPart
from infra.upstream.manifests import Document
from infra.upstream.part import Helm, Kustomize, Part
from infra.upstream.parts import PARTS
from infra.upstream.rendering import Programs
from infra.upstream.rendering import render as render_part
from infra.versions import HELM, KUSTOMIZE
from slipway.core import atomic_files
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent

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
    go = None if mirror else _go()
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
    names: Sequence[str] = (), *, update: bool = False, output: Path | None = None, report: Report = silent
) -> list[RenderedPart]:
    """Render the parts from the cache, without a network, and keep their objects there.

    Args:
        names: Parts; none is all.
        update: Write what was rendered to upstream.lock, in place of comparing it.
        output: A new folder that receives the objects and their lock.
        report: Receives what is rendered.

    Raises:
        UsageError: There is no such part, it isn't fetched or locked, or a program is missing.
        FailedError: It can't be rendered, or was rendered to something else than the lock says.
    """
    if output is not None and output.exists():
        raise UsageError(f"{output} exists.", fix="Name a folder that does not; it will be made.")
    current = read_lock()
    parts = chosen(names)
    programs = _programs(parts, report)
    found = []
    for part in parts:
        report(f"rendering {part.name} {part.version}")
        entry = None if update else bundle.entry_of(part, current)
        rendered, documents = _render(part, entry, current, programs, twice=update)
        earlier = current.find(part.name)
        if entry is not None:
            _compare(part, rendered, entry)
        for document in documents:
            object_store.put(object_store.canonical(document))
        current = current.with_part(rendered)
        found.append(_rendered(rendered, changed=rendered != earlier))
    if update:
        everything = Lock(part=tuple(each for each in current.part if each.name in PARTS))
        atomic_files.replace(LOCK_FILE, lock.dumps(everything))
    if output is not None:
        names_of = {part.name for part in parts}
        _export(Lock(part=tuple(each for each in current.part if each.name in names_of)), output)
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


def _render(
    part: Part, entry: LockedPart | None, current: Lock, programs: Programs, *, twice: bool
) -> tuple[LockedPart, list[Document]]:
    digests = {
        source.name: next((each.tree for each in entry.sources if each.name == source.name), None)
        if entry
        else source_store.known(source)
        for source in part.sources
    }
    trees, fetched = {}, {}
    for source in part.sources:
        digest = digests[source.name]
        tree = source_store.get(source, digest) if digest else None
        if digest is None or tree is None:
            raise UsageError(
                f"{source.name} at {source.commit[:12]} is not in the cache.",
                why="Nothing is fetched while parts render, or the cache was damaged.",
                fix=f"slipway upstream fetch {'' if entry else '--update '}{part.name}",
            )
        trees[source.name], fetched[source.name] = tree, digest
    documents = render_part(part, trees, programs)
    if twice and documents != render_part(part, trees, programs):
        raise FailedError(
            f"{part.name} renders differently each time.",
            why="A chart makes random values, such as a password.",
            fix=f"Set them in the values of infra/upstream/parts for {part.name}.",
        )
    return locking.locked(part, documents, fetched, current.find(part.name)), documents


def _compare(part: Part, rendered: LockedPart, entry: LockedPart) -> None:
    differ = locking.differences(rendered, entry)
    if differ:
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise FailedError(
            f"{part.name} was rendered to something else than {lock.FILE} says.",
            why=f"{'; '.join(differ[:3])}{more}.",
            fix="If the part's module was changed, lock it (slipway upstream render --update "
            f"{part.name}) and review the difference; else restore {lock.FILE} from version control.",
        )


def _export(exported: Lock, folder: Path) -> None:
    for each in (each for part in exported.part for each in part.objects):
        target = object_store.place(folder, each.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(object_store.get(each.sha256))
    # Last: without it the folder is no bundle.
    atomic_files.replace(folder / lock.FILE, lock.dumps(exported))


def _programs(parts: Sequence[Part], report: Report) -> Programs:
    """Find or build kustomize and helm, where a part needs them."""
    versions = {"kustomize": (Kustomize, KUSTOMIZE), "helm": (Helm, HELM)}
    found: dict[str, Path | None] = dict.fromkeys(versions)
    for name, (kind, version) in versions.items():
        if not any(isinstance(step, kind) for part in parts for step in part.steps):
            continue
        try:
            found[name] = toolchain.binary(name, report)
        except UsageError as error:
            raise UsageError(
                f"{name} {version} is not on this machine.",
                why=f"Only this version renders what {lock.FILE} has, and it can't be built: {error.what}",
                fix=f"Install {name} {version}, or Go; then run the command again.",
            ) from None
    return Programs(**found)


def _go() -> Path | None:
    try:
        return golang.find().command
    except UsageError:
        return None


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
