"""Names of images: what is one, what it means, and where a mirror has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci.references import Place, Reference, parse, parse_place
from slipway.core.errors import UsageError

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python:3.11", Reference("docker.io", "library/python", "3.11")),
        ("kserve/agent", Reference("docker.io", "kserve/agent")),
        ("index.docker.io/kserve/agent:v1", Reference("docker.io", "kserve/agent", "v1")),
        ("ghcr.io/kserve/agent:v0.20.0", Reference("ghcr.io", "kserve/agent", "v0.20.0")),
        ("localhost/a", Reference("localhost", "a")),
        ("localhost:5000/a/b__c", Reference("localhost:5000", "a/b__c")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a")),
        (f"gcr.io/a/b@{DIGEST}", Reference("gcr.io", "a/b", None, DIGEST)),
        (f"gcr.io/a/b:1@{DIGEST}", Reference("gcr.io", "a/b", "1", DIGEST)),
    ],
)
def test_a_reference_is_completed(text, expected):
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Python:3.11",
        "a b",
        "ghcr.io/",
        "https://ghcr.io/a",
        "a:tag:tag",
        "a@sha256:12",
        f"a@{DIGEST}0",
        "a//b",
    ],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(UsageError, match="is not a reference to an image"):
        parse(text)


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text):
    try:
        found = parse(text)
    except UsageError:
        return
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("registry.example.org/slipway", Place("registry.example.org", "slipway")),
        ("127.0.0.1:5000", Place("127.0.0.1:5000")),
        ("registry.example.org/a/b/", Place("registry.example.org", "a/b")),
    ],
)
def test_a_place_has_a_registry_and_a_path(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["https://registry.example.org", "registry.example.org/A", "", "a b/c"])
def test_what_is_no_place_is_refused(text):
    with pytest.raises(UsageError, match="is not the address of a registry"):
        parse_place(text)


def test_a_mirror_keeps_images_of_two_registries_apart():
    place = Place("mirror.example.org", "all")
    first, second = parse(f"ghcr.io/a/b:1@{DIGEST}"), parse("registry.example.org:5000/a/b:1")
    assert str(place.of(first)) == f"mirror.example.org/all/ghcr.io/a/b:1@{DIGEST}"
    assert str(place.of(second)) == "mirror.example.org/all/registry.example.org-5000/a/b:1"
    assert parse(str(place.of(second))) == place.of(second)
