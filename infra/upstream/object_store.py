"""Kubernetes objects by the digest of their content, in the cache folder.

The program declares digests; the provider reads the content that belongs to one. So a stack's state holds
64 characters for each object instead of up to a megabyte.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from slipway.core import atomic_files
from slipway.core.cache_folder import cache_folder
from slipway.core.errors import UsageError

_FOLDER: Final = "objects"


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the one form of an object that has its digest: JSON, sorted, without spaces, as UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(content: bytes) -> str:
    """Return the SHA-256 of a canonical object, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def put(content: bytes) -> str:
    """Keep a canonical object; return its digest."""
    name = digest(content)
    path = _path(name)
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(path, content)
    return name


def declared(document: Mapping[str, Any], *, keep: bool) -> str:
    """Return the digest of an object that the program declares.

    Args:
        document: the object.
        keep: also put it into the cache, for the provider; a preview writes nothing.
    """
    return put(canonical(document)) if keep else digest(canonical(document))


def get(name: str) -> bytes:
    """Return the canonical object with this digest.

    Raises:
        UsageError: It is not in the cache, or damaged there.
    """
    path = _path(name)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"The object with digest {name[:12]} is not in the cache.",
            why=f"There is no {path}.",
            fix="Run the same command again on this machine; it puts the objects there first.",
        ) from None
    if digest(content) != name:
        raise UsageError(
            f"The object with digest {name[:12]} is damaged in the cache.",
            why=f"{path} has other content.",
            fix="Delete that file and run the same command again.",
        )
    return content


def has(name: str) -> bool:
    """Return whether the cache has an object with this digest, damaged or not."""
    return _path(name).is_file()


def place(folder: Path, name: str) -> Path:
    """Return where the object with this digest is in the cache folder, or in an exported bundle."""
    return folder / _FOLDER / name[:2] / f"{name}.json"


def _path(name: str) -> Path:
    return place(cache_folder(), name)
