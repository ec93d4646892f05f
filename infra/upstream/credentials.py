"""Credentials that everybody knows, wherever an object hides them. Pure.

Sources: upstream's own manifests and documentation; each row names whose default it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.upstream.objects import Identity
from infra.upstream.texts import Text, texts

_DISTINCTIVE: Final[Mapping[str, str]] = {
    "minio123": "MinIO's key in Kubeflow Pipelines",
    "minioadmin": "MinIO's default administrator",
    "12341234": "Dex's user of Kubeflow",
    "$2y$12$4K/VkmDd1q1Orb3xAt82zu8gk7Ad6ReFR4LCP9UeYE90NLiN9Df72": "the hash of Dex's password 12341234",
    "user@example.com": "Dex's user of Kubeflow",
    "pUBnBOY80SnXgjibTYM9ZWNzY2xreNGQok": "the client secret of Kubeflow's Dex and oauth2-proxy",
    "7d16fee92f8d11b8940b081b3f8b8acb": "the cookie secret of Kubeflow's oauth2-proxy",
    "prom-operator": "Grafana's password in kube-prometheus-stack",
}
"""Texts that are secret nowhere, under whatever key; with whose default each is."""

_GUESSED: Final = frozenset(
    [
        "1234",
        "12345",
        "123456",
        "admin",
        "admin123",
        "changeit",
        "changeme",
        "default",
        "demo",
        "example",
        "guest",
        "kubeflow",
        "letmein",
        "minio",
        "mlpipeline",
        "mysql",
        "pass",
        "password",
        "postgres",
        "root",
        "secret",
        "test",
        "user",
    ]
)
_SECRET_KEY: Final = re.compile(
    r"pass(?:wd|word|phrase)|(?:^|[^a-z])pwd(?:$|[^a-z])|secret[-_]?(?:access[-_]?)?key|access[-_]?key|"
    r"client[-_]?secret|cookie[-_]?secret|(?:^|[-_.])token$",
    re.IGNORECASE,
)
_POINTER_KEY: Final = re.compile(
    r"(?:name|path|file|ref|field|namekey)$|^secretname|idname|keyname", re.IGNORECASE
)
_OPEN: Final[Mapping[str, frozenset[str]]] = {
    "MYSQL_ALLOW_EMPTY_PASSWORD": frozenset({"true", "yes", "1", "on"}),
    "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": frozenset({"true", "yes", "1", "on"}),
    "ALLOW_EMPTY_PASSWORD": frozenset({"true", "yes", "1", "on"}),
    "POSTGRES_HOST_AUTH_METHOD": frozenset({"trust"}),
}
_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/\s:@]+):([^/\s@]+)@")
_ARGUMENT: Final = re.compile(r"-{0,2}([A-Za-z][\w.-]*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class KnownCredential:
    """A credential that everybody knows, and where it is; never the text itself, which may be longer."""

    object: Identity
    place: str
    reason: str


def known_credentials(document: Mapping[str, Any]) -> Iterator[KnownCredential]:
    """Yield each credential of the object that everybody knows, once for each place."""
    if document.get("kind") == "CustomResourceDefinition":
        return
    identity = Identity.of(document)
    seen: set[str] = set()
    previous = ""
    for text in texts(document):
        reason = _reason(text, previous, secret=identity.kind == "Secret")
        previous = text.value
        if reason and text.place not in seen:
            seen.add(text.place)
            yield KnownCredential(identity, text.place, reason)


def _reason(text: Text, previous: str, *, secret: bool) -> str | None:
    for word, whose in _DISTINCTIVE.items():
        if re.search(rf"(?<![\w]){re.escape(word)}(?![\w])", text.value):
            return f"it is {whose}"
    for key, value in _pairs(text, previous):
        if value.lower() in _OPEN.get(key, frozenset()):
            return f"{key} lets everybody in without a password"
        data = secret and text.place.startswith(("data.", "stringData."))
        if not (_SECRET_KEY.search(key) and not _POINTER_KEY.search(key)) and not data:
            continue
        if value.strip().lower() in _GUESSED:
            return "it is a word that everybody tries first"
        if not value.strip() and _SECRET_KEY.search(key) and re.search("pass", key, re.IGNORECASE):
            return "the password is empty"
    match = _IN_URL.search(text.value)
    if match and match[2].lower() in _GUESSED:
        return "the URL has a password that everybody tries first"
    return None


def _pairs(text: Text, previous: str) -> Iterator[tuple[str, str]]:
    """Yield what the text may be the value of: its key, an option with `=`, or the option before it."""
    yield text.key, text.value
    argument = _ARGUMENT.fullmatch(text.value)
    if argument:
        yield argument[1], argument[2].strip("\"'")
    if previous.startswith("--") and "=" not in previous:
        yield previous.lstrip("-"), text.value
