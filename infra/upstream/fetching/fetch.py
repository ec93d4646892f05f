"""Fetch one source: from a mirror if one is named, else by its Go module, else by git."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.upstream.fetching import archives, git, modules, source_store
from infra.upstream.part import Source
from infra.upstream.trees import Tree, tree_digest
from slipway.core.errors import FailedError, UsageError

Road = Literal["cache", "mirror", "archive", "Go module", "git"]


@dataclass(frozen=True)
class Fetched:
    """A source that is in the cache now."""

    source: Source
    digest: str
    road: Road


def fetch(source: Source, *, expected: str | None, mirror: Path | None, go: Path | None) -> Fetched:
    """Bring the files of a source into the cache.

    Args:
        source: What to fetch.
        expected: The digest in the lock; None accepts what the commit has.
        mirror: A folder with `NAME.git`, `NAME` or `NAME-COMMIT.tar.gz` for each source.
        go: The Go command, if there is one.

    Raises:
        UsageError: The mirror does not have it.
        FailedError: It can't be fetched, or is not what the lock says; nothing is kept of it.
    """
    digest = expected or source_store.known(source)
    if digest and source_store.get(source, digest) is not None:
        return Fetched(source, digest, "cache")
    tree, road = _mirrored(source, mirror) if mirror else _remote(source, go)
    if not tree:
        raise FailedError(
            f"{source.repository} has none of {', '.join(source.folders)} at {source.commit[:12]}.",
            fix=f"Correct the folders of {source.name} in infra/upstream/parts.",
        )
    found = tree_digest(tree)
    if expected and found != expected:
        raise FailedError(
            f"The files of {source.name} are not those of upstream.lock.",
            why=f"Commit {source.commit[:12]} by {road}: digest {found[:12]}, locked {expected[:12]}.",
            fix="Somebody changed the source or the lock: compare with another mirror, and restore "
            "upstream.lock from version control. Nothing was kept.",
        )
    return Fetched(source, source_store.put(source, tree), road)


def _mirrored(source: Source, mirror: Path) -> tuple[Tree, Road]:
    for name in (f"{source.name}.git", source.name):
        if (mirror / name).is_dir():
            return git.from_repository(source, mirror / name), "mirror"
    archive = mirror / f"{source.name}-{source.commit}.tar.gz"
    if archive.is_file():
        return archives.from_archive(source, archive), "archive"
    raise UsageError(
        f"The mirror has no {source.name}.",
        why=f"{mirror} has neither {source.name}.git nor {archive.name}.",
        fix=f"Where the network is: git clone --mirror {source.repository} {source.name}.git",
    )


def _remote(source: Source, go: Path | None) -> tuple[Tree, Road]:
    if source.module is None or go is None:
        return git.from_url(source), "git"
    try:
        return modules.from_module(source, source.module, go), "Go module"
    except FailedError as first:
        try:
            return git.from_url(source), "git"
        except FailedError as second:
            raise FailedError(
                f"{source.name} could be fetched neither as a Go module nor by git.",
                why=f"{first.why} | {second.why}",
                fix="Check the network, GOPROXY and HTTPS_PROXY and run the command again, or use --mirror; "
                "nothing was kept.",
            ) from None
