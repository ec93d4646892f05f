"""Accounts at image registries, as the container tools keep them.

Read in this order; the first that has an account for the registry is used:

1. `$REGISTRY_AUTH_FILE`,
2. `$XDG_RUNTIME_DIR/containers/auth.json` and `~/.config/containers/auth.json` (podman, skopeo, buildah),
3. `$DOCKER_CONFIG/config.json` or `~/.docker/config.json` (docker).

A file contains accounts (`auths`) or names a program that knows them (`credHelpers`, `credsStore`): it is
called as `docker-credential-<name> get`, with the registry on its standard input.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from oci.login import IDENTITY_TOKEN, Login
from oci.references import DOCKER_HUB
from slipway.core.errors import UsageError

_DOCKER_HUB_KEYS: Final = (
    "docker.io",
    "https://index.docker.io/v1/",
    "index.docker.io",
    "registry-1.docker.io",
)
_HELPER_SECONDS: Final = 30


def paths(environment: Mapping[str, str] | None = None) -> list[Path]:
    """Return the files that may have accounts, in the order in which they are read."""
    env = os.environ if environment is None else environment
    home = Path(env.get("HOME") or Path.home())
    found = [Path(env["REGISTRY_AUTH_FILE"])] if env.get("REGISTRY_AUTH_FILE") else []
    if env.get("XDG_RUNTIME_DIR"):
        found.append(Path(env["XDG_RUNTIME_DIR"], "containers", "auth.json"))
    found.append(Path(env.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json"))
    found.append(Path(env.get("DOCKER_CONFIG") or home / ".docker", "config.json"))
    return found


def find(
    registry: str, repository: str = "", *, environment: Mapping[str, str] | None = None
) -> Login | None:
    """Return the account for a repository of a registry, or None if the files have none.

    Raises:
        UsageError: A file or a credential helper can't be used.
    """
    for path in paths(environment):
        if path.is_file():
            document = _read(path)
            for key in _keys(registry, repository):
                if login := _find_in(document, key, path):
                    return login
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict):
            return document
        why = "It is not a JSON object."
    except PermissionError:
        why = "This user may not read it."
    except ValueError:
        why = "It is not JSON."
    raise _unusable(path, why)


def _keys(registry: str, repository: str) -> Iterator[str]:
    """Yield the names under which an account may be stored, the most specific first."""
    parts = repository.split("/") if repository else []
    for length in range(len(parts), 0, -1):
        yield "/".join([registry, *parts[:length]])
    hosts = _DOCKER_HUB_KEYS if registry == DOCKER_HUB else (registry,)
    for host in hosts:
        yield host
        if "://" not in host:
            yield from (f"https://{host}", f"https://{host}/", f"https://{host}/v2/", f"http://{host}")


def _find_in(document: dict[str, Any], key: str, path: Path) -> Login | None:
    if helper := (document.get("credHelpers") or {}).get(key):
        return _ask(str(helper), key)
    entry = (document.get("auths") or {}).get(key)
    if isinstance(entry, dict) and (login := _decode(entry, path)):
        return login
    helper = document.get("credsStore")
    # A store is asked for the registries that the file lists, which spares a call for each other key.
    return _ask(str(helper), key) if helper and entry is not None else None


def _decode(entry: dict[str, Any], path: Path) -> Login | None:
    if entry.get("identitytoken"):
        return Login(IDENTITY_TOKEN, SecretStr(str(entry["identitytoken"])))
    if entry.get("username"):
        return Login(str(entry["username"]), SecretStr(str(entry.get("password") or "")))
    if not entry.get("auth"):
        return None
    try:
        pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
    except ValueError:
        pair = ""
    username, colon, password = pair.partition(":")
    if not colon:
        raise _unusable(path, "An entry of `auths` is not base64 of `user:password`.")
    return Login(username, SecretStr(password))


@cache
def _ask(helper: str, key: str) -> Login | None:
    """Return what a credential helper answers; once per process, because it may ask a service itself."""
    program = f"docker-credential-{helper}"
    if shutil.which(program) is None:
        raise UsageError(
            f"The credential helper {program} is not installed.",
            why=f"The configuration of the container tools names it for {key}.",
            fix="Install it, or log in again with `docker login` or `podman login`.",
        )
    try:
        completed = subprocess.run(
            [program, "get"], input=key, capture_output=True, text=True, check=False, timeout=_HELPER_SECONDS
        )
        if completed.returncode:
            return None  # it has no account for this registry
        answer = json.loads(completed.stdout)
        username, secret = str(answer["Username"]), SecretStr(str(answer["Secret"]))
    except (ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
        raise UsageError(
            f"The credential helper {program} gave no usable answer.",
            why=f"It was asked for {key}.",
            fix="Log in again with `docker login` or `podman login`.",
        ) from None
    return Login(username, secret)


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"The accounts in {path} can't be used.",
        why=why,
        fix="Log in again with `docker login` or `podman login`, which write it.",
    )
