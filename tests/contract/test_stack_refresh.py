"""Objects that somebody deleted or changed by hand: reported by `status`, put back by `up --refresh`."""

from pathlib import Path

import pytest
from support.apiserver import ApiServer
from support.pulumi_cli import driven_stack

from infra.stack.stack import Stack
from slipway.core.errors import UsageError
from slipway.operations import missing_objects

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]
PROGRAM = """\
import pathlib, pulumi, pulumi_kubernetes as k8s
from infra.cluster.provider import kubernetes_provider
kubeconfig = pulumi.Output.secret(pathlib.Path("kubeconfig").read_text())
provider = kubernetes_provider("cluster", kubeconfig=kubeconfig, cluster_identifier="test")
on = pulumi.ResourceOptions(provider=provider)
k8s.networking.v1.NetworkPolicy("allow-dns", metadata={{"name": "allow-dns", "namespace": "{namespace}"}},
    spec={{"podSelector": {{}}, "policyTypes": ["Ingress"]}}, opts=on)
k8s.core.v1.Secret("key", metadata={{"name": "key", "namespace": "{namespace}"}},
    string_data={{"k": pulumi.Output.secret("shibboleth")}}, opts=on)
"""


@pytest.fixture
def namespace(server: ApiServer) -> str:
    return server.namespace()


@pytest.fixture
def stack(server: ApiServer, namespace: str, tmp_path: Path) -> Stack:
    made = driven_stack(tmp_path, PROGRAM.format(namespace=namespace), server.kubeconfig)
    made.up()
    return made


def policy(namespace: str) -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/allow-dns"


def test_a_deleted_object_is_reported_and_put_back(stack, cluster, namespace):
    assert missing_objects.find(stack) == missing_objects.MissingObjects(checked=2)
    cluster.delete(policy(namespace)).raise_for_status()
    gone = missing_objects.find(stack)
    assert gone.objects == (f"NetworkPolicy {namespace}/allow-dns",)
    assert gone.summary == f"1 of 2 missing: NetworkPolicy {namespace}/allow-dns"

    assert not stack.up().changed, "the control: without a look nothing is missing"
    assert cluster.get(policy(namespace)).status_code == 404
    assert stack.preview(refresh=True).changes["create"] == 1
    assert cluster.get(policy(namespace)).status_code == 404, "a preview changes nothing"
    assert stack.up(refresh=True).changes["create"] == 1
    assert cluster.get(policy(namespace)).status_code == 200
    assert missing_objects.find(stack).objects == ()
    assert not stack.up(refresh=True).changed


def test_an_object_that_was_changed_by_hand_is_put_back(stack, cluster, namespace):
    cluster.patch(
        policy(namespace),
        json={"spec": {"policyTypes": ["Egress"]}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    assert missing_objects.find(stack).objects == (), "only what is missing is reported"
    assert stack.preview(refresh=True).changes["update"] == 1
    stack.up(refresh=True)
    assert cluster.get(policy(namespace)).json()["spec"]["policyTypes"] == ["Ingress"]


def test_a_silent_cluster_is_not_reported_as_empty(stack, tmp_path):
    config = stack.project / "kubeconfig"
    config.write_text(config.read_text().replace("https://127.0.0.1:", "https://127.0.0.1:1"))
    missing = missing_objects.find(stack)
    assert (missing.checked, missing.objects) == (None, ())
    assert missing.summary.startswith("not checked: The cluster does not answer.")


def test_nothing_of_a_secret_is_reported(stack, cluster, namespace):
    cluster.delete(f"/api/v1/namespaces/{namespace}/secrets/key").raise_for_status()
    missing = missing_objects.find(stack)
    assert missing.objects == (f"Secret {namespace}/key",)
    assert "shibboleth" not in missing.model_dump_json()


def test_a_volume_that_is_to_shrink_stops_preview_and_up(stack, cluster, namespace):
    """Over the real command line: nothing is changed, and nothing of Pulumi is started."""
    claim = """
k8s.core.v1.PersistentVolumeClaim("data",
    metadata={"name": "ml-pipeline-data", "namespace": "kubeflow",
              "annotations": {"pulumi.com/skipAwait": "true"}},
    spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}, opts=on)
"""
    cluster.post("/api/v1/namespaces", json={"metadata": {"name": "kubeflow"}})
    program = stack.project / "program.py"
    program.write_text(program.read_text() + claim)
    assert stack.up().changes["create"] == 1
    text = stack.settings.read_text()
    smaller = text.replace("environment: local", "environment: local\n    kfp: {size_gib: 1}")
    stack.settings.write_text(smaller)
    try:
        for refused in (stack.preview, stack.up, lambda: stack.up(refresh=True)):
            with pytest.raises(UsageError, match=r"kfp\.size_gib: .*can't shrink from 2 to 1 GiB"):
                refused()
        stack.settings.write_text(text)
        assert not stack.preview().changed, "the control"
    finally:
        stack.settings.write_text(text)
        stack.destroy()
