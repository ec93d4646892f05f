"""How the commands of `slipway images` open a registry: which account, which CA certificate."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from oci import auth_files
from oci.client import ImageRegistry
from oci.login import Login
from oci.references import Reference
from slipway.core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to connect to a registry."""

    login: Login | None = None
    """Overrides the accounts of the container tools."""

    ca_file: Path | None = None
    plain_http: bool = False

    def open(self, registry: str, repository: str = "") -> ImageRegistry:
        """Open a registry; the caller closes it.

        Raises:
            UsageError: The files of the container tools or the CA certificate can't be read, or plain HTTP
                is refused.
        """
        login = self.login_for(registry, repository)
        return ImageRegistry(registry, login, ca_file=self.ca_file, plain_http=self.plain_http)

    def login_for(self, registry: str, repository: str) -> Login | None:
        """Return the account for a repository, or None for anonymous access."""
        return self.login or auth_files.find(registry, repository)


class Registries:
    """The registries of a command, each opened once for every account."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._opened: dict[tuple[str, Login | None], ImageRegistry] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._opened.values():
            each.__exit__()

    def of(self, reference: Reference) -> ImageRegistry:
        """Return the registry of a reference; raises as `Connection.open`."""
        login = self._connection.login_for(reference.registry, reference.repository)
        with self._lock:
            key = (reference.registry, login)
            if key not in self._opened:
                self._opened[key] = self._connection.open(reference.registry, reference.repository)
            return self._opened[key]


def login_of(username: str | None, password: str | None) -> Login | None:
    """Return the account of a user, or None if neither is given.

    Raises:
        UsageError: One of the two is missing.
    """
    if username is None and password is None:
        return None
    if username is None or password is None:
        raise UsageError(
            "A login needs both --username and --password-stdin.",
            why="The password is read from standard input; an argument would be readable for every user.",
            fix="Leave both out to use the login of `docker login` or `podman login`.",
        )
    if not password:
        raise UsageError("There is no password on standard input.", fix="Pipe it into the command.")
    return Login(username, SecretStr(password))
