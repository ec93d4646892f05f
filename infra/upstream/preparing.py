"""Puts the objects of locked parts into the cache: fetches and renders those that are missing there.

The lock proves that they are the same bytes, wherever and whenever they are rendered.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from infra.builder import Builder
from infra.upstream import bundle, lock, locking, object_store
from infra.upstream.fetching import source_store
from infra.upstream.fetching.fetch import fetch
from infra.upstream.lock import Lock, LockedPart
from infra.upstream.manifests import Document
from infra.upstream.part import Helm, Kustomize, Part
from infra.upstream.rendering import Programs, render
from infra.versions import HELM, KUSTOMIZE
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report

_PROGRAMS: Final = {"kustomize": (Kustomize, KUSTOMIZE), "helm": (Helm, HELM)}
"""Which kind of step needs each program, and at which version."""


def missing(parts: Iterable[tuple[Part, LockedPart]]) -> list[tuple[Part, LockedPart]]:
    """Return those of the locked parts of which an object is not in the cache."""
    return [
        (part, entry)
        for part, entry in parts
        if not all(object_store.has(each.sha256) for each in entry.objects)
    ]


def require(parts: Iterable[tuple[Part, LockedPart]]) -> None:
    """Refuse to continue unless all objects of the locked parts are in the cache.

    Raises:
        UsageError: One is missing.
    """
    absent = missing(parts)
    if absent:
        raise UsageError(
            f"Not rendered yet: {', '.join(f'{part.name} {part.version}' for part, _ in absent)}.",
            why="A preview fetches and renders nothing.",
            fix="Do it first: make tools (or: slipway doctor --fix)",
        )


def programs_for(parts: Iterable[Part]) -> list[str]:
    """Return the names of the programs that render the parts."""
    steps = [step for part in parts for step in part.steps]
    return [name for name, (kind, _) in _PROGRAMS.items() if any(isinstance(step, kind) for step in steps)]


def prepare(parts: Iterable[tuple[Part, LockedPart]], builder: Builder, report: Report) -> None:
    """Fetch and render those of the locked parts that are not in the cache.

    Raises:
        UsageError: A program is missing and can't be built.
        FailedError: A part can't be fetched or rendered, or is not what the lock says; a rerun continues.
    """
    absent = missing(parts)
    if not absent:
        return
    current = bundle.read_lock(bundle.LOCK_FILE)
    programs = found_programs([part for part, _ in absent], builder, report)
    for part, entry in absent:
        report(f"rendering {part.name} {part.version}")
        trees = {source.name: source.tree for source in entry.sources}
        for source in part.sources:
            fetch(source, expected=trees[source.name], mirror=None, go=builder.go())
        rendered, documents = rendered_part(part, entry, current, programs)
        compare(part, rendered, entry)
        for document in documents:
            object_store.put(object_store.canonical(document))


def found_programs(parts: Sequence[Part], builder: Builder, report: Report) -> Programs:
    """Find or build kustomize and helm, where a part needs them.

    Raises:
        UsageError: One is missing and can't be built.
    """
    found: dict[str, Path | None] = dict.fromkeys(_PROGRAMS)
    for name in programs_for(parts):
        version = _PROGRAMS[name][1]
        try:
            found[name] = builder.program(name, report)
        except UsageError as error:
            raise UsageError(
                f"{name} {version} is not on this machine.",
                why=f"Only this version renders what {lock.FILE} has, and it can't be built: {error.what}",
                fix=f"Install {name} {version}, or Go; then run the command again.",
            ) from None
    return Programs(**found)


def rendered_part(
    part: Part, entry: LockedPart | None, current: Lock, programs: Programs, *, twice: bool = False
) -> tuple[LockedPart, list[Document]]:
    """Render a part from its fetched files; return what the lock would say of it, and its objects.

    Args:
        part: The part.
        entry: Its entry in the lock, which says the digests of its files; None takes what was fetched last.
        current: The lock, for the digests of images.
        programs: kustomize and helm.
        twice: Render once more, and compare.

    Raises:
        UsageError: Its files are not in the cache.
        FailedError: It can't be rendered, or renders differently each time.
    """
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
    documents = render(part, trees, programs)
    if twice and documents != render(part, trees, programs):
        raise FailedError(
            f"{part.name} renders differently each time.",
            why="A chart makes random values, such as a password.",
            fix=f"Set them in the values of infra/upstream/parts for {part.name}.",
        )
    return locking.locked(part, documents, fetched, current.find(part.name)), documents


def compare(part: Part, rendered: LockedPart, entry: LockedPart) -> None:
    """Refuse what was rendered if it is not what the lock says.

    Raises:
        FailedError: It differs.
    """
    differ = locking.differences(rendered, entry)
    if differ:
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise FailedError(
            f"{part.name} was rendered to something else than {lock.FILE} says.",
            why=f"{'; '.join(differ[:3])}{more}.",
            fix="If the part's module was changed, lock it (slipway upstream render --update "
            f"{part.name}) and review the difference; else restore {lock.FILE} from version control.",
        )
