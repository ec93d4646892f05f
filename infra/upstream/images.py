"""Every image that an object names, also in arguments, environment and YAML in ConfigMaps. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.upstream.objects import Identity
from infra.upstream.texts import Text, texts

_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?)"
_TAG: Final = r"[\w][\w.-]{0,127}"
_DIGEST: Final = r"sha256:[0-9a-f]{64}"
_REFERENCE: Final = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_REGISTRY: Final = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?::[0-9]+)?/|localhost(?::[0-9]+)?/")
_IMAGE_KEY: Final = re.compile(r"(?:^|[a-z_-])images?(?:name)?$", re.IGNORECASE)
_IMAGE_ARGUMENT: Final = re.compile(r"--?[\w-]*image[\w-]*", re.IGNORECASE)
_VERSION_TAG: Final = re.compile(r"v?[0-9]+(?:\.[0-9]+)+(?:[-.][\w.-]+)?")
_PATH_PLACE: Final = re.compile(r"(?:^|\.)(?:metadata|rules|webhooks|openAPIV3Schema|matchLabels)(?:\.|$)")


def images(document: Mapping[str, Any], not_images: Iterable[str] = ()) -> dict[str, list[str]]:
    """Return the images that an object names, each with its places (`Kind namespace/name: field`).

    Args:
        document: The object.
        not_images: Texts that look like an image and are none.
    """
    left_out = frozenset(not_images)
    identity = Identity.of(document)
    found: dict[str, list[str]] = {}
    previous = ""
    for text in texts(document):
        name = _named(text, previous)
        if name and name not in left_out:
            places = found.setdefault(name, [])
            place = f"{identity}: {text.place}"
            if place not in places:
                places.append(place)
        previous = text.value
    return found


def digest_in(name: str) -> str:
    """Return the digest at the end of an image's name; empty if it has none."""
    match = _REFERENCE.fullmatch(name)
    return (match["digest"] or "") if match else ""


def _named(text: Text, previous: str) -> str | None:
    """Return the image that a text names; `previous` is the argument before it."""
    value = text.value.strip()
    option, assigned, rest = value.partition("=")
    if assigned and (value.startswith("-") or option.isidentifier()):
        value = rest.strip("\"'")
    match = _REFERENCE.fullmatch(value)
    if match is None or _PATH_PLACE.search(text.place):
        return None
    if _IMAGE_KEY.search(text.key) or _IMAGE_ARGUMENT.fullmatch(option if assigned else previous):
        # A policy or a bare word beside a key that has "image" in its name is none.
        return value if match["tag"] or match["digest"] or "/" in value else None
    if match["digest"]:
        return value
    if match["tag"] and "/" in match["name"]:
        by_registry = _REGISTRY.match(value) and not match["tag"].isdecimal()
        return value if by_registry or _VERSION_TAG.fullmatch(match["tag"]) else None
    return None
