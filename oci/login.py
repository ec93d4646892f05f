"""An account at an image registry. Pure."""

from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

IDENTITY_TOKEN: Final = "<token>"
"""The user name by which a credential helper says that the secret is a token for the authorization server."""


@dataclass(frozen=True)
class Login:
    """A user and a password; the password is never printed."""

    username: str
    password: SecretStr

    @property
    def is_identity_token(self) -> bool:
        """Whether the password is a refresh token for the registry's authorization server."""
        return self.username == IDENTITY_TOKEN
