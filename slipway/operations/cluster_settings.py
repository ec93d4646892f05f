"""What `slipway init` finds out about a team's cluster and its registry, as values of settings.

Nothing is changed: the cluster is asked for its StorageClasses, the registry for the digests of this
checkout's images.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from embedded import images
from infra.kubernetes_api import KubernetesApi, contexts
from infra.settings.models import ImageReferences
from infra.stack.preflight import storage_classes
from oci import pull_secrets
from oci.references import Place, Reference
from slipway.core.errors import UsageError
from slipway.core.parallel import in_parallel
from slipway.operations.images_registry import Connection

FIRST_PORT: Final = 18080
_LAST_PORT: Final = 18980
_PORTS: Final = ("gateway", "store", "console", "kfp")
_STEP: Final = 10

Keys = tuple[str, ...]
"""Of a setting, from the outermost."""
Values = Mapping[Keys, str | int]
"""Values of settings by their keys, from the outermost."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the person said on the command line."""

    context: str | None = None
    """Context of the kubeconfig."""

    kubeconfig: Path | None = None
    storage_class: str | None = None
    registry: Place | None = None
    connection: Connection = field(default_factory=Connection)
    """How to connect to the registry."""

    @property
    def given(self) -> bool:
        """Whether anything was said."""
        return self.names_cluster or self.registry is not None

    @property
    def names_cluster(self) -> bool:
        """Whether anything was said about a cluster."""
        return any((self.context, self.kubeconfig, self.storage_class))


def find(answers: Answers) -> tuple[Values, SecretStr | None]:
    """Return the settings that follow from the answers, and the login for nodes.

    Returns:
        Values below `slipway:platform`; accounts as `oci.pull_secrets.docker_config` writes them, None
        where no registry is named or it has no login.

    Raises:
        UsageError: There is no such context, StorageClass, registry or image, or a login is refused.
        FailedError: The cluster or the registry does not answer.
    """
    values: dict[Keys, str | int] = {}
    login = None
    if answers.context is not None:
        values |= _cluster(answers, answers.context)
    elif answers.kubeconfig is not None or answers.storage_class is not None:
        raise UsageError(
            "--kubeconfig and --storage-class need --context.",
            why="They are settings of the cluster, which is never chosen by default.",
            fix="Name a context: `kubectl config get-contexts` lists them.",
        )
    if answers.registry is not None:
        login = _login(answers.registry, answers.connection)
        values |= _images(answers.registry, answers.connection)
    return values, login


def free_ports() -> Values:
    """Return ports of this machine that nothing listens on, as `endpoints` of `dev` and `kind`.

    Raises:
        UsageError: None are free.
    """
    for first in range(FIRST_PORT, _LAST_PORT, _STEP):
        ports = {name: first + offset for offset, name in enumerate(_PORTS)}
        if all(_is_free(port) for port in ports.values()):
            kept = {name: port for name, port in ports.items() if name != "console"}
            return {("endpoints", name): port for name, port in kept.items()}
    raise UsageError(
        f"There are no free ports from {FIRST_PORT} to {_LAST_PORT} on 127.0.0.1.",
        why="Each endpoint needs one.",
        fix="Stop what listens there.",
    )


def _cluster(answers: Answers, context: str) -> dict[Keys, str | int]:
    path = answers.kubeconfig or _single_kubeconfig()
    known = contexts(path)
    if context not in known:
        raise UsageError(
            f"There is no context {context!r} in kubeconfig {path or '(default)'}.",
            why=f"Its contexts are: {', '.join(known) or 'none'}.",
            fix="Name one of them, or another file with --kubeconfig.",
        )
    values: dict[Keys, str | int] = {("cluster", "context"): context}
    if path is not None:
        values["cluster", "kubeconfig"] = str(path.absolute())
    api = KubernetesApi.open(path, context)
    try:
        chosen = _storage_class(api, answers.storage_class)
    finally:
        api.close()
    for part in ("store", "kfp"):
        values[part, "storage_class"] = chosen
    return values


def _single_kubeconfig() -> Path | None:
    """Return the file of `$KUBECONFIG`; None for kubectl's default, which needs no setting."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(named[0]) if len(named) == 1 else None


def _storage_class(api: KubernetesApi, wanted: str | None) -> str:
    classes = storage_classes(api)
    known = ", ".join(sorted(classes.names)) or "none"
    if wanted is not None:
        if wanted not in classes.names:
            raise UsageError(
                f"The cluster has no StorageClass {wanted!r}.",
                why=f"Its StorageClasses are: {known}.",
                fix="Name one of them with --storage-class.",
            )
        return wanted
    if classes.default is not None:
        return classes.default
    if len(classes.names) == 1:
        return next(iter(classes.names))
    raise UsageError(
        "The cluster has no default StorageClass.",
        why=f"Its StorageClasses are: {known}.",
        fix="Name one with --storage-class." if classes.names else "Install a storage driver in the cluster.",
    )


def _images(place: Place, connection: Connection) -> dict[Keys, str | int]:
    """Return the references, by digest, of the images that this checkout would push."""
    fields = list(ImageReferences.model_fields)
    wanted = [_reference(place, name.replace("_", "-")) for name in fields]
    with connection.open(place.registry, place.path) as registry:
        digests = in_parallel(registry.digest, wanted)
    if missing := [each for each, digest in zip(wanted, digests, strict=True) if digest is None]:
        raise UsageError(
            f"The registry does not have {', '.join(map(str, missing))}.",
            why="These are the images of this checkout; a tag is the digest of what an image is made from.",
            fix=f"Push them: slipway images push {place}",
        )
    return {
        ("images", name): str(each.at(digest))
        for name, each, digest in zip(fields, wanted, digests, strict=True)
        if digest is not None
    }


def _reference(place: Place, image: str) -> Reference:
    tag = images.reference(image).rpartition(":")[2]
    return Reference(place.registry, place.repository(image), tag)


def _login(place: Place, connection: Connection) -> SecretStr | None:
    login = connection.login_for(place.registry, place.path)
    return None if login is None else SecretStr(pull_secrets.docker_config({place.registry: login}))


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
