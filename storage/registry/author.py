"""The author of a change, in one line, as conflicts and the log name it. A claim, not a proof."""

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

MAX_AUTHOR: Final = 120
"""Characters of an author's name in a record."""


def author(environ: Mapping[str, str] = os.environ, person: Callable[[], str] | None = None) -> str:
    """Return who runs this: the job and the person who started it in CI, else `user@host`.

    The store's key shows which tenant and role wrote a record; the author shows which person or job used it.
    """
    name = _github(environ) or _gitlab(environ) or (person or _person)()
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:MAX_AUTHOR]


def _github(environ: Mapping[str, str]) -> str:
    if environ.get("GITHUB_ACTIONS") != "true":
        return ""
    run = f"{environ.get('GITHUB_REPOSITORY', '?')} run {environ.get('GITHUB_RUN_ID', '?')}"
    return f"GitHub {run} of {environ.get('GITHUB_ACTOR', '?')}"


def _gitlab(environ: Mapping[str, str]) -> str:
    if environ.get("GITLAB_CI") != "true":
        return ""
    job = f"{environ.get('CI_PROJECT_PATH', '?')} job {environ.get('CI_JOB_ID', '?')}"
    return f"GitLab {job} of {environ.get('GITLAB_USER_LOGIN', '?')}"


def _person() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a user number without a name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
