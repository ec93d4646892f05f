"""The files of a source and their digest, the same however they were fetched. Pure."""

import hashlib
from collections.abc import Mapping

Tree = Mapping[str, bytes]
"""Content by path in the repository, with slashes."""


def tree_digest(tree: Tree) -> str:
    """Return the SHA-256, in hexadecimal, of the sorted paths and contents.

    Modes, times and empty folders don't count: a Go module has none of them.
    """
    hasher = hashlib.sha256()
    for path in sorted(tree):
        content = tree[path]
        hasher.update(f"{len(path.encode())} {path} {len(content)}\n".encode())
        hasher.update(content)
    return hasher.hexdigest()


def is_used(path: str, folders: tuple[str, ...]) -> bool:
    """Return whether a file belongs to one of the folders, or is itself named."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
