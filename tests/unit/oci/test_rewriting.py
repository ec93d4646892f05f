"""References in Kubernetes objects, plain and hidden."""

import copy
import json

import pytest
import yaml

from oci.rewriting import occurrences, rewrite

DIGEST = "sha256:" + "ab" * 32
NEW = {
    "quay.io/argoproj/argoexec:v4.0.5": f"r.example.org/quay.io/argoproj/argoexec:v4.0.5@{DIGEST}",
    "ghcr.io/containerd/busybox": f"r.example.org/ghcr.io/containerd/busybox@{DIGEST}",
    "busybox": f"r.example.org/docker.io/library/busybox@{DIGEST}",
    "busybox:1.36": f"r.example.org/docker.io/library/busybox:1.36@{DIGEST}",
    "python:3.11": f"r.example.org/docker.io/library/python:3.11@{DIGEST}",
    "docker.io/istio/proxyv2:1.30.1": f"r.example.org/docker.io/istio/proxyv2:1.30.1@{DIGEST}",
    "kserve/agent:v0.20.0": f"r.example.org/docker.io/kserve/agent:v0.20.0@{DIGEST}",
}
ARGO, PYTHON, AGENT = NEW["quay.io/argoproj/argoexec:v4.0.5"], NEW["python:3.11"], NEW["kserve/agent:v0.20.0"]


def container(**fields):
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "busybox", **fields}]}}


def config_map(text):
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": {"config": text}}


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        (container(image="python:3.11"), container(image=PYTHON), "spec.containers[0].image"),
        (container(image="busybox"), container(image=NEW["busybox"]), "spec.containers[0].image"),
        (
            container(args=["--executor-image", "quay.io/argoproj/argoexec:v4.0.5"]),
            container(args=["--executor-image", ARGO]),
            "spec.containers[0].args[1]",
        ),
        (
            container(args=["--executor-image=quay.io/argoproj/argoexec:v4.0.5"]),
            container(args=[f"--executor-image={ARGO}"]),
            "spec.containers[0].args[0]",
        ),
        (
            container(env=[{"name": "V2_LAUNCHER_IMAGE", "value": "python:3.11"}]),
            container(env=[{"name": "V2_LAUNCHER_IMAGE", "value": PYTHON}]),
            "spec.containers[0].env[0].value",
        ),
        (
            container(command=["sh", "-c", "pull docker://python:3.11 'kserve/agent:v0.20.0'"]),
            container(command=["sh", "-c", f"pull docker://{PYTHON} '{AGENT}'"]),
            "spec.containers[0].command[2]",
        ),
        (
            config_map("# kept\nimages:\n- python:3.11   # also\n- x: 'kserve/agent:v0.20.0'\n"),
            config_map(f"# kept\nimages:\n- {PYTHON}   # also\n- x: '{AGENT}'\n"),
            "data.config",
        ),
        (
            config_map('{\n    "image" : "kserve/agent:v0.20.0",\n    "cpu": "1"\n}'),
            config_map('{\n    "image" : "' + AGENT + '",\n    "cpu": "1"\n}'),
            "data.config",
        ),
        (
            config_map(yaml.safe_dump({"inner": json.dumps({"image": "python:3.11"})})),
            config_map(yaml.safe_dump({"inner": json.dumps({"image": PYTHON})}, width=1000)),
            "data.config",
        ),
        (
            {"volumes": [{"image": {"reference": "python:3.11"}}]},
            {"volumes": [{"image": {"reference": PYTHON}}]},
            "volumes[0].image.reference",
        ),
        (
            config_map("cacheImage: ghcr.io/containerd/busybox\n"),
            config_map(f"cacheImage: {NEW['ghcr.io/containerd/busybox']}\n"),
            "data.config",
        ),
    ],
)
def test_a_reference_is_replaced_where_it_hides(before, after, place):
    original = copy.deepcopy(before)
    assert rewrite(before, NEW) == after
    assert before == original, "the argument is not changed"
    assert place in {each for each, _ in occurrences(before, NEW)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"hub": "docker.io/istio", "image": "proxyv2", "tag": "1.30.1"},
            {"hub": "r.example.org", "image": "docker.io/istio/proxyv2", "tag": f"1.30.1@{DIGEST}"},
        ),
        (
            {
                "hub": "docker.io/istio",
                "tag": "1.30.1",
                "proxy": {"image": "proxyv2"},
                "cni": {"image": "other"},
            },
            {
                "hub": "docker.io/istio",
                "tag": "1.30.1",
                "proxy": {"image": NEW["docker.io/istio/proxyv2:1.30.1"]},
                "cni": {"image": "other"},
            },
        ),
        (
            {"repository": "kserve/agent", "tag": "v0.20.0", "pullPolicy": "Always"},
            {
                "repository": "r.example.org/docker.io/kserve/agent",
                "tag": f"v0.20.0@{DIGEST}",
                "pullPolicy": "Always",
            },
        ),
    ],
)
def test_a_reference_in_parts_is_replaced(before, after):
    assert rewrite(before, NEW) == after
    in_text = rewrite(config_map(json.dumps({"proxy": before, "other": "python:3.11"})), NEW)
    assert json.loads(in_text["data"]["config"]) == {"proxy": after, "other": PYTHON}
    assert len(occurrences(before, NEW)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "mypython:3.11",
        "python:3.11-slim",
        "python:3.11.2",
        "example.org/python:3.11",
        f"python:3.11@{DIGEST}",
        "busybox",
        "the busybox of the node",
        "ghcr.io/containerd/busybox:1.36",
        "ghcr.io/containerd/busybox/more",
    ],
)
def test_other_text_stays(text):
    before = config_map(text)
    assert rewrite(before, NEW) == before
    assert occurrences(before, NEW) == []


def test_a_name_alone_is_replaced_in_image_fields_only():
    before = {"name": "busybox", "image": "busybox", "command": ["busybox", "busybox:1.36"]}
    after = {"name": "busybox", "image": NEW["busybox"], "command": ["busybox", NEW["busybox:1.36"]]}
    assert rewrite(before, NEW) == after


def test_secrets_are_not_searched():
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "python:3.11"}}
    assert rewrite(secret, NEW) == secret
    assert rewrite(config_map("python:3.11"), NEW) == config_map(PYTHON), "the control"


def test_nothing_known_changes_nothing():
    before = container(image="python:3.11", args=[1, None, True])
    assert rewrite(before, {}) == before
