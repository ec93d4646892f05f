"""Where an image comes from, as annotations of the OCI specification: the same for the same source.

An image's revision is the last commit that changed what it is made from, so that a commit that changes only
the documentation gives no new digests, and restarts nothing.
"""

import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Final

from embedded.images.oci import CREATED
from embedded.images.tree import MTIME
from embedded.images.wheels import PROJECT

_PREFIX: Final = "org.opencontainers.image"
_LOCAL_REMOTE: Final = re.compile(r"[./]|file:")
_SSH_REMOTE: Final = re.compile(r"(?:ssh://)?[^@/]+@([^:/]+)(?::[0-9]+)?[:/](.+)")
_HTTP_REMOTE: Final = re.compile(r"(https?://)(?:[^@/]*@)?(.+)")


def annotations(name: str, sources: Sequence[str]) -> dict[str, str]:
    """Return the annotations of an image.

    Args:
        name: The image's name.
        sources: Files and folders of this repository that it is made from.
    """
    found = {
        f"{_PREFIX}.title": name,
        f"{_PREFIX}.version": metadata.version("slipway"),
        CREATED: datetime.fromtimestamp(MTIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if remote := _public_url(_git("remote", "get-url", "origin")):
        found[f"{_PREFIX}.source"] = remote
    commit = _git("log", "-1", "--format=%H %ct", "--", *sources).split()
    if len(commit) == 2:
        is_changed = bool(_git("status", "--porcelain", "--", *sources))
        found[f"{_PREFIX}.revision"] = commit[0] + ("-modified" if is_changed else "")
        found[CREATED] = datetime.fromtimestamp(int(commit[1]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return found


def _public_url(remote: str) -> str:
    """Return a remote as a URL without a user, password or `.git`; nothing for a folder of this machine."""
    if not remote or _LOCAL_REMOTE.match(remote):
        return ""
    if match := _HTTP_REMOTE.fullmatch(remote):
        return (match[1] + match[2]).removesuffix(".git")
    if match := _SSH_REMOTE.fullmatch(remote):
        return f"https://{match[1]}/{match[2]}".removesuffix(".git")
    return ""


def _git(*arguments: str) -> str:
    """Return what git says, or nothing where this is no checkout."""
    try:
        completed = subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], check=False, capture_output=True, text=True
        )
    except FileNotFoundError:
        return ""
    return completed.stdout.strip() if completed.returncode == 0 else ""
