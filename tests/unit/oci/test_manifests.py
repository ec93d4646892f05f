"""Manifests as registries send them."""

import json
from typing import Any

import pytest

from oci import manifests
from oci.manifests import IMAGE, INDEX, Descriptor
from slipway.core.errors import FailedError

DIGEST = "sha256:" + "ab" * 32
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def entry(digest: str = DIGEST, **more: Any) -> dict[str, Any]:
    return {"mediaType": IMAGE, "digest": digest, "size": 5, **more}


def content(**document: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **document}).encode()


def test_an_image_names_each_blob_once():
    image = manifests.read(content(config=entry(), layers=[entry(), entry("sha256:" + "cd" * 32)]), IMAGE)
    assert [each.digest[7:9] for each in image.blobs] == ["ab", "cd"]
    assert not image.is_index


def test_the_type_in_the_document_counts_before_the_header():
    found = manifests.read(
        content(mediaType=DOCKER_INDEX, manifests=[entry()]), "application/json; charset=utf-8"
    )
    assert found.is_index
    assert found.media_type == DOCKER_INDEX


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", IMAGE),
        (b"[]", IMAGE),
        (content(layers=[]), IMAGE),
        (content(config=entry("sha256:../../other"), layers=[]), IMAGE),
        (content(config=entry("sha512:" + "ab" * 64), layers=[]), IMAGE),
        (content(manifests=[entry(size="many")]), INDEX),
        (content(fsLayers=[]), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_what_is_no_manifest_is_refused(body, kind):
    with pytest.raises(FailedError, match="of a kind that is not supported"):
        manifests.read(body, kind)


@pytest.mark.parametrize("platform", [None, "linux/amd64", "linux/arm64/v8"])
def test_a_descriptor_is_written_as_it_is_read(platform):
    written = Descriptor(IMAGE, DIGEST, 5, platform, {"a": "b"}, "kind/of")
    assert manifests.index([written]).manifests == [written]


def test_a_platform_includes_its_variants():
    amd, arm, other = (
        Descriptor(IMAGE, f"sha256:{number * 64}", 1, platform)
        for number, platform in (("1", "linux/amd64"), ("2", "linux/arm64/v8"), ("3", "unknown/unknown"))
    )
    index = manifests.index([amd, arm, other], {"kept": "yes"})
    assert manifests.only(index, ["linux/arm64"]).manifests == [arm]
    assert manifests.only(index, ["linux/amd64", "linux/arm64/v8"]).manifests == [amd, arm]
    assert manifests.only(index, ["linux/amd64"]).document["annotations"] == {"kept": "yes"}
    with pytest.raises(FailedError, match="no variant for linux/arm"):
        manifests.only(index, ["linux/arm"])
