"""References to images: `registry.example.org/team/image:tag@sha256:...`. Pure.

The grammar is that of the distribution project, with Docker's short forms: `python:3.11` is
`docker.io/library/python:3.11`.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from slipway.core.errors import UsageError

DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_OFFICIAL: Final = "library"

_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST: Final = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])"
    r"(?::[0-9]{1,5})?"
)
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PATH_LENGTH: Final = 255


@dataclass(frozen=True, order=True)
class Reference:
    """The name of an image, complete: without short forms."""

    registry: str
    """Host name, with the port if it is not 443, such as `registry.example.org:5000`."""

    repository: str
    tag: str | None = None
    digest: str | None = None
    """`sha256:` and 64 hexadecimal digits."""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """The reference without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> "Reference":
        """Return the reference with this digest; the tag stays, for people to read."""
        return replace(self, digest=digest)


def parse(text: str) -> Reference:
    """Parse a reference.

    Raises:
        UsageError: It is not a reference.
    """
    name, at, digest = text.strip().partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _not_a_reference(text, "After `@` comes `sha256:` with 64 hexadecimal digits.")
    name, tag = _split_tag(name)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _not_a_reference(text, f"{tag!r} can't be a tag.")
    registry, repository = _split_registry(name)
    if not _HOST.fullmatch(registry):
        raise _not_a_reference(text, f"{registry!r} is not the address of a registry.")
    if not _PATH.fullmatch(repository) or len(repository) > _PATH_LENGTH:
        raise _not_a_reference(
            text, f"{repository!r} can't be a repository: lower-case words, digits, `.`, `_`, `-` and `/`."
        )
    return Reference(registry, repository, tag, digest or None)


@dataclass(frozen=True)
class Place:
    """A registry, and the path below which images are put: `registry.example.org/slipway`."""

    registry: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" if self.path else self.registry

    def repository(self, name: str) -> str:
        """Return the repository of this name below the path."""
        return f"{self.path}/{name}" if self.path else name

    def of(self, reference: Reference) -> Reference:
        """Return where a mirror below this place has the image.

        The source's registry is part of the path, so that images of two registries never meet:
        `ghcr.io/kserve/agent` is `<place>/ghcr.io/kserve/agent`.
        """
        origin = re.sub(r"[^a-z0-9.]+", "-", reference.registry.lower()).strip("-")
        return replace(
            reference, registry=self.registry, repository=self.repository(f"{origin}/{reference.repository}")
        )


def parse_place(text: str) -> Place:
    """Parse the address of a registry with an optional path.

    Raises:
        UsageError: It is none; the most common mistake is a URL.
    """
    registry, _, path = text.strip().rstrip("/").partition("/")
    if "://" in text or not _HOST.fullmatch(registry) or (path and not _PATH.fullmatch(path)):
        raise UsageError(
            f"{text!r} is not the address of a registry.",
            why="It is a host name, with a port and a path if necessary; not a URL, and without a tag.",
            fix="Write it like registry.example.org/slipway or 127.0.0.1:5000.",
        )
    return Place(_DOCKER_HUB_ALIAS.get(registry, registry), path)


_DOCKER_HUB_ALIAS: Final = dict.fromkeys(_DOCKER_HUB_NAMES, DOCKER_HUB)


def _split_tag(name: str) -> tuple[str, str | None]:
    # A colon before the last slash belongs to the port.
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, None)


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = _DOCKER_HUB_ALIAS.get(first, first), rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"{_OFFICIAL}/{repository}"
    return registry, repository


def _not_a_reference(text: str, why: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a reference to an image.",
        why=why,
        fix="Write it like registry.example.org/team/image:tag or with @sha256:<digest>.",
    )
