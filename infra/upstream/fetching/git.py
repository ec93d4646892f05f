"""Files of one commit of a git repository, local or remote, without a checkout."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from infra.upstream.part import Source
from infra.upstream.trees import Tree
from slipway.core.errors import FailedError, UsageError

_SECONDS: Final = 600
_GONE: Final = (
    "not our ref",
    "bad object",
    "not a tree object",
    "unadvertised object",
    "Not a valid object name",
    "remote ref does not exist",
)


def from_repository(source: Source, repository: Path) -> Tree:
    """Return the files of the source from a repository on this machine.

    Raises:
        FailedError: The repository does not have the commit, or is not readable.
    """
    listing = _git(repository, source, "ls-tree", "-r", "-z", source.commit, "--", *source.folders)
    entries = [entry for entry in listing.decode().split("\0") if entry]
    blobs: dict[str, str] = {}
    for entry in entries:
        facts, _, path = entry.partition("\t")
        mode, kind, blob = facts.split()
        if kind != "blob" or mode == "120000":
            raise FailedError(
                f"{path} of {source.repository} is a link or a submodule.",
                why="A Go module does not have it, so the files would depend on how they are fetched.",
                fix=f"Name other folders in infra/upstream/parts for {source.name}.",
            )
        blobs[path] = blob
    content = _git(repository, source, "cat-file", "--batch", given="\n".join(blobs.values()))
    files = dict(zip(blobs, _split(content), strict=True))
    missing = [path for path, each in files.items() if each is None]
    if missing:
        raise FailedError(
            f"{repository.name} does not have {missing[0]} of {source.repository}.",
            why=f"The repository is not whole: {len(missing)} files of the commit are missing.",
            fix=f"Mirror it again, without a filter: git clone --mirror {source.repository}",
        )
    return {path: each for path, each in files.items() if each is not None}


def from_url(source: Source) -> Tree:
    """Fetch the commit from the source's repository, alone, and return its files.

    Raises:
        FailedError: git or the network is missing, or the repository no longer has the commit.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-upstream-") as folder:
        repository = Path(folder)
        _git(repository, source, "init", "--bare", "--quiet", ".")
        _git(
            repository, source, "fetch", "--quiet", "--depth=1", "--no-tags", source.repository, source.commit
        )
        return from_repository(source, repository)


def _git(repository: Path, source: Source, *arguments: str, given: str = "") -> bytes:
    environment = {
        **os.environ,
        # A private repository's question for a password would wait for an answer forever.
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=repository,
            env=environment,
            input=given.encode(),
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise UsageError("git is not installed.", fix="Install git, or use --mirror with archives.") from None
    except subprocess.TimeoutExpired:
        raise FailedError(
            f"{source.repository} did not answer within {_SECONDS // 60} minutes.",
            why=f"git {arguments[0]} was ended.",
            fix="Check the network and run the command again, or use --mirror.",
        ) from None
    if done.returncode == 0:
        return done.stdout
    raise _explained(source, done.stderr.decode(errors="replace").strip())


def _explained(source: Source, said: str) -> FailedError:
    last = said.splitlines()[-1] if said else "git said nothing"
    if any(words in said for words in _GONE):
        return FailedError(
            f"{source.repository} does not have commit {source.commit[:12]}.",
            why=f"It was removed or the mirror is older than it ({last}).",
            fix="Update the mirror, or use one that has it: slipway upstream fetch --mirror FOLDER",
        )
    return FailedError(
        f"{source.repository} could not be fetched.",
        why=last,
        fix="Check the network and run the command again, or use --mirror; nothing was kept.",
    )


def _split(batch: bytes) -> list[bytes | None]:
    """Return the contents in the output of `git cat-file --batch`; None for what is missing."""
    found: list[bytes | None] = []
    at = 0
    while at < len(batch):
        end = batch.index(b"\n", at)
        _, kind, *rest = batch[at:end].split()
        if kind == b"missing":
            found.append(None)
            at = end + 1
            continue
        size = int(rest[0])
        found.append(batch[end + 1 : end + 1 + size])
        at = end + size + 2
    return found
