"""The content of a Secret with which nodes pull from a registry. Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Final

from oci.login import Login
from oci.references import DOCKER_HUB
from slipway.core.errors import UsageError

SECRET_TYPE: Final = "kubernetes.io/dockerconfigjson"
SECRET_KEY: Final = ".dockerconfigjson"


def docker_config(logins: Mapping[str, Login]) -> str:
    """Return the value of the Secret's key for accounts by registry, or by registry and path. It is a secret.

    Raises:
        UsageError: An account has a token that only this machine's container tool can exchange.
    """
    for registry, login in logins.items():
        if login.is_identity_token:
            raise UsageError(
                f"The login for {registry} can't be given to nodes.",
                why="It is an identity token, which the kubelet does not support.",
                fix="Make an access token or a robot account with a password there, and log in with it.",
            )
    auths = {_key(registry): _entry(login) for registry, login in sorted(logins.items())}
    return json.dumps({"auths": auths})


def _entry(login: Login) -> dict[str, str]:
    password = login.password.get_secret_value()
    pair = base64.b64encode(f"{login.username}:{password}".encode()).decode()
    return {"username": login.username, "password": password, "auth": pair}


def _key(registry: str) -> str:
    return "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
