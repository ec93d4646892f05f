"""The files of a model version: what they may be called and what their digest is. Pure.

KServe's downloader joins object keys to its folder unchecked, so a key that could escape from it is
never accepted, even where the store would accept it.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from slipway.core.errors import UsageError

MAX_KEY_BYTES: Final = 1024
MAX_FILES: Final = 64
SHORT_DIGEST: Final = 12
"""Fewest digits by which a digest can be named."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class File(BaseModel):
    """One file of a version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sha256: Digest
    size: int = Field(ge=0)


def digest_of(files: Iterable[File]) -> str:
    """SHA-256 over the canonical list of path, size and SHA-256; the order of files does not matter."""
    listed = [file.model_dump() for file in sorted(files, key=lambda file: file.path)]
    canonical = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def checked_path(path: str, *, below: str = "", colons: bool = False) -> str:
    """Return a file's path relative to its version if it can't escape; UsageError otherwise.

    KServe's downloader joins keys to its folder unchecked, so the path is checked here, whatever the
    store would accept. `below` is the prefix that the path will be appended to; `colons` says whether
    the name may contain colons, as names of data may, which only Slipway reads.
    """
    reason = ""
    if not path:
        reason = "It is empty."
    elif not path.isprintable():
        reason = "It holds a control character, or a space that isn't one."
    elif "\\" in path:
        reason = "It holds a backslash."
    elif "%" in path:
        reason = "It holds a percent sign, which some reader will decode."
    elif path.startswith("/"):
        reason = "It begins with a slash, so it is not relative."
    elif path.startswith("~"):
        reason = "It begins with a tilde, which some programs replace by a home folder."
    elif ":" in path and not colons:
        reason = "It holds a colon, which ends the name of a drive on Windows."
    elif any(part in {"", ".", ".."} for part in path.split("/")):
        reason = "One of its parts is empty, '.' or '..'."
    elif any(part.startswith(" ") or part.endswith((" ", ".")) for part in path.split("/")):
        reason = "One of its parts begins with a space or ends with one or a dot, which some disks drop."
    elif unicodedata.normalize("NFC", path) != path:
        reason = "It is not in Unicode normal form C."
    elif len((below + path).encode()) > MAX_KEY_BYTES:
        reason = f"Its key would have more than {MAX_KEY_BYTES} bytes."
    if reason:
        raise UsageError(f"{path[:80]!r} can't name a file of a model.", why=reason)
    return path


def checked_paths(paths: Iterable[str], *, below: str = "") -> tuple[str, ...]:
    """Check all paths of a version, also against each other: no two may collide on any file system."""
    checked = tuple(checked_path(path, below=below) for path in paths)
    if len(checked) > MAX_FILES:
        raise UsageError(f"A model of {len(checked)} files is refused.", why=f"The limit is {MAX_FILES}.")
    folded = {unicodedata.normalize("NFKC", path).casefold() for path in checked}
    if len(folded) != len(checked):
        raise UsageError("Two files of the model differ only in case or in Unicode form.")
    parents = {path.rsplit("/", depth)[0] for path in checked for depth in range(1, path.count("/") + 1)}
    if parents & set(checked):
        raise UsageError(f"{sorted(parents & set(checked))[0]!r} is both a file and a folder of the model.")
    return checked
