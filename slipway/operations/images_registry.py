"""How the commands of `slipway images` open a registry: which account, which CA certificate."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from oci import auth_files
from oci.client import ImageRegistry
from oci.login import Login
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
        login = self.login or auth_files.find(registry, repository)
        return ImageRegistry(registry, login, ca_file=self.ca_file, plain_http=self.plain_http)


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
