"""References to images inside Kubernetes objects: found and replaced wherever they hide. Pure.

An image is not only named in `image:`. References are also arguments of controllers, environment variables,
values of ConfigMaps, YAML and JSON inside them, and sometimes registry, name and tag are apart. Known
references are replaced as text, so that everything else stays as it was, byte by byte: a value that is YAML
keeps its comments and its order. Secrets are not searched: their values are encoded, and no image belongs
there.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from oci import references

Json = Any
"""A value as a JSON or YAML parser returns it."""
_Base = tuple[str, str]
"""A registry, with a path or without, and a tag."""

_IMAGE_FIELDS: Final = frozenset({"image", "reference"})
"""Fields whose whole value is a reference, even one word such as `busybox`; volumes of kind image have
`reference`."""
_REGISTRIES: Final = ("registry", "hub")
_NAMES: Final = ("repository", "image", "name")
"""Fields that have the parts of a reference beside `tag`, as in values of Helm charts and of Istio."""
_ABOVE: Final = ".."
"""In place of the field of the registry, where that is in the object around."""
_INSIDE: Final = r"[\w./:@-]"
"""A character of references: text beside one is a part of another reference."""
_SCHEME: Final = r"(?:(?:docker|oci)://)?"


def rewrite(value: Json, replacements: Mapping[str, str]) -> Json:
    """Return a Kubernetes object with references replaced; the argument is not changed.

    Args:
        value: The object, or any part of one.
        replacements: New references by the old ones, as objects write them: `python:3.11` is not found as
            `docker.io/library/python:3.11`. A name alone (`busybox`) is only replaced where it is the whole
            value of an image's field, because elsewhere it may be a word.
    """
    return _Search(replacements).value(value)


def occurrences(value: Json, known: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return where references occur: the place, such as `spec.containers[0].args[1]`, and the reference."""
    search = _Search({each: each for each in known})
    search.value(value)
    return sorted(set(search.found))


class _Search:
    def __init__(self, replacements: Mapping[str, str]) -> None:
        self.found: list[tuple[str, str]] = []
        self._replacements = replacements
        # The longest first: `busybox:1.36-musl` is not `busybox:1.36` and a rest.
        known = sorted(filter(_is_distinct, replacements), key=lambda each: (-len(each), each))
        pattern = "|".join(map(re.escape, known))
        self._pattern = re.compile(rf"(?<!{_INSIDE})({_SCHEME})({pattern})(?!{_INSIDE})") if known else None

    def value(self, value: Json, place: str = "", above: Sequence[_Base] = ()) -> Json:
        """Return any value with its references replaced; `above` is of the object around it."""
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, list):
            return [self.value(each, f"{place}[{number}]") for number, each in enumerate(value)]
        if not isinstance(value, dict) or (value.get("kind") == "Secret" and "apiVersion" in value):
            return value
        replaced = self._parts(value, place, above)
        for key, each in value.items():
            if key not in replaced:
                inner = f"{place}.{key}".removeprefix(".")
                replaced[key] = self._field(str(key), each, inner, list(_bases(value)))
        return {key: replaced[key] for key in value}

    def _field(self, key: str, value: Json, place: str, above: Sequence[_Base]) -> Json:
        if key in _IMAGE_FIELDS and isinstance(value, str) and value in self._replacements:
            return self._replace(value, place)
        return self.value(value, place, above)

    def _text(self, text: str, place: str) -> str:
        document = _json_object(text)
        if document is not None and self._has_parts(document):
            # Parts can't be replaced as text, so this value alone is written again.
            return json.dumps(self.value(document, place), indent=2 if "\n" in text.strip() else None)
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: match[1] + self._replace(match[2], place), text)

    def _replace(self, old: str, place: str) -> str:
        self.found.append((place, old))
        return self._replacements[old]

    def _parts(self, fields: Mapping[str, Json], place: str, above: Sequence[_Base]) -> dict[str, Json]:
        """Return the new values of the fields of a reference in parts, or nothing."""
        for registry, name, old in _joined(fields, above):
            if old in self._replacements:
                new = references.parse(self._replace(old, place))
                if registry == _ABOVE:
                    return {name: str(new)}
                # The field is used after a colon, so there must be a tag before the digest.
                tag = new.tag or "latest"
                parts = {"tag": f"{tag}@{new.digest}" if new.digest else tag}
                if registry is None:
                    return {**parts, name: new.name}
                return {**parts, registry: new.registry, name: new.repository}
        return {}

    def _has_parts(self, value: Json, above: Sequence[_Base] = ()) -> bool:
        if isinstance(value, dict):
            if any(old in self._replacements for _, _, old in _joined(value, above)):
                return True
            below = list(_bases(value))
            return any(self._has_parts(each, below) for each in value.values())
        return isinstance(value, list) and any(self._has_parts(each) for each in value)


def _joined(fields: Mapping[str, Json], above: Sequence[_Base]) -> Iterator[tuple[str | None, str, str]]:
    """Yield the references that the fields of one object may mean, with the names of these fields."""
    tag = fields.get("tag")
    for name in _NAMES:
        base = fields.get(name)
        if isinstance(tag, str) and isinstance(base, str):
            for registry in _REGISTRIES:
                if isinstance(fields.get(registry), str):
                    yield registry, name, f"{fields[registry]}/{base}:{tag}"
            yield None, name, f"{base}:{tag}"
    # In Istio's values `hub` and `tag` are beside the object with `image`, which may be a whole reference.
    image = fields.get("image")
    if isinstance(image, str):
        for prefix, outer in above:
            yield _ABOVE, "image", f"{prefix}/{image}:{outer}"


def _bases(fields: Mapping[str, Json]) -> Iterator[_Base]:
    """Yield registry and tag of an object, for the objects in it."""
    tag = fields.get("tag")
    for registry in _REGISTRIES:
        if isinstance(tag, str) and isinstance(fields.get(registry), str):
            yield fields[registry], tag


def _json_object(text: str) -> dict[str, Json] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _is_distinct(reference: str) -> bool:
    """Whether text that reads like this is a reference, and not a word."""
    return any(each in reference for each in "/:@")
