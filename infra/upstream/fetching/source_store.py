"""Fetched files in the cache folder, by digest: a tree is there whole, or not at all.

<cache>/upstream/trees/<digest>/…       the files of one source
<cache>/upstream/commits/<key>          the digest that a commit's folders were found to have
"""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from infra.upstream.fetching.modules import from_folder
from infra.upstream.part import Source
from infra.upstream.trees import Tree, tree_digest
from slipway.core import atomic_files, locks
from slipway.core.cache_folder import cache_folder

_FOLDER: Final = "upstream"
_DRAFT: Final = ".draft-"


def put(source: Source, tree: Tree) -> str:
    """Keep the files of a source; return their digest."""
    digest = tree_digest(tree)
    with locks.locked(cache_folder() / _FOLDER / ".lock"):
        if get(source, digest) is None:
            _write(folder(digest), tree)
    note = _note(source)
    note.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.replace(note, digest)
    return digest


def known(source: Source) -> str | None:
    """Return the digest that the source had when it was fetched here, or None."""
    try:
        return _note(source).read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def get(source: Source, digest: str) -> Tree | None:
    """Return the files with this digest; None if they are not there or were changed."""
    if not folder(digest).is_dir():
        return None
    tree = from_folder(source, folder(digest))
    return tree if tree_digest(tree) == digest else None


def folder(digest: str) -> Path:
    """Return where the files with this digest are, or will be."""
    return cache_folder() / _FOLDER / "trees" / digest


def _write(final: Path, tree: Tree) -> None:
    """Make the folder by one rename, so that a reader never sees a part of it; with the lock held."""
    for left in final.parent.glob(f"{_DRAFT}*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    draft = final.with_name(f"{_DRAFT}{final.name}")
    try:
        for path, content in tree.items():
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        shutil.rmtree(final, ignore_errors=True)  # damaged, or `get` would have returned it
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _note(source: Source) -> Path:
    what = "\n".join((source.repository, source.commit, *sorted(source.folders)))
    return cache_folder() / _FOLDER / "commits" / hashlib.sha256(what.encode()).hexdigest()
