import base64
import json

import pytest

from infra.upstream.images import digest_in, images

DIGEST = "sha256:" + "a" * 64


def pod(container):
    return {"kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [container]}}


def config(**data):
    return {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data}


@pytest.mark.parametrize(
    ("document", "name", "place"),
    [
        (pod({"name": "m", "image": "kserve/agent:v1"}), "kserve/agent:v1", "spec.containers.m.image"),
        (pod({"name": "m", "image": f"x.io/a/b@{DIGEST}"}), f"x.io/a/b@{DIGEST}", "spec.containers.m.image"),
        (
            pod({"name": "m", "args": ["--executor-image=quay.io/argoproj/argoexec:v4.0.5"]}),
            "quay.io/argoproj/argoexec:v4.0.5",
            "spec.containers.m.args.0",
        ),
        (
            pod({"name": "m", "args": ["--executor-image", "argoexec:latest"]}),
            "argoexec:latest",
            "spec.containers.m.args.1",
        ),
        (
            pod({"name": "m", "env": [{"name": "V2_DRIVER_IMAGE", "value": "ghcr.io/kfp/driver:2.17.0"}]}),
            "ghcr.io/kfp/driver:2.17.0",
            "spec.containers.m.env.V2_DRIVER_IMAGE.value",
        ),
        (
            pod({"name": "m", "env": [{"name": "OTHER", "value": "ghcr.io/x/y:1.2"}]}),
            "ghcr.io/x/y:1.2",
            "spec.containers.m.env.OTHER.value",
        ),
        (config(agent=json.dumps({"image": "kserve/agent:v1"})), "kserve/agent:v1", "data.agent.image"),
        (config(cacheImage="ghcr.io/containerd/busybox"), "ghcr.io/containerd/busybox", "data.cacheImage"),
        (
            config(**{"katib.yaml": "suggestions:\n- algorithmName: tpe\n  image: ghcr.io/k/tpe:v0\n"}),
            "ghcr.io/k/tpe:v0",
            "data.katib.yaml.suggestions.0.image",
        ),
        (
            config(inner=json.dumps({"template": "spec:\n  image: a/b:1.0\n"})),
            "a/b:1.0",
            "data.inner.template.spec.image",
        ),
        (
            config(script="#!/bin/sh\n[ x: ] && {\nexport HELPER_IMAGE=quay.io/a/b:1.0\n"),
            "quay.io/a/b:1.0",
            "data.script.line 3",
        ),
        (
            {
                "kind": "Secret",
                "metadata": {"name": "s"},
                "data": {"c.yaml": base64.b64encode(b"image: a/b:1.0\nx: 1\n").decode()},
            },
            "a/b:1.0",
            "data.c.yaml.image",
        ),
    ],
)
def test_an_image_is_found_wherever_it_hides(document, name, place):
    found = images(document)
    assert list(found) == [name]
    assert found[name][0].endswith(f": {place}")


@pytest.mark.parametrize(
    "document",
    [
        pod({"name": "m", "args": ["--address=kube-dns.kube-system.svc:8080", "--level", "info"]}),
        pod({"name": "m", "imagePullPolicy": "IfNotPresent"}),
        pod({"name": "m", "args": ["--bind=127.0.0.1:8080", "/bin/sh", "http://a.io/b:8080"]}),
        config(_example='image: "kserve/agent:v1"'),
        config(localGateway="knative-serving/knative-local-gateway", schedule="10:30"),
        {"kind": "CustomResourceDefinition", "spec": {"description": "uses gcr.io/a/b:v1.0"}},
    ],
)
def test_what_only_looks_like_an_image_is_none(document):
    assert images(document) == {}


def test_every_place_is_listed_and_exceptions_are_left_out():
    document = config(a='{"image": "a/b:1"}', b='{"image": "a/b:1"}', c='{"image": "c/d:1"}')
    assert {name: len(places) for name, places in images(document, ["c/d:1"]).items()} == {"a/b:1": 2}


def test_a_digest_counts_only_at_the_end():
    assert digest_in(f"a/b:1@{DIGEST}") == DIGEST
    assert digest_in("a/b:1") == ""
    assert digest_in(f"a/b@{DIGEST[:-1]}") == ""
