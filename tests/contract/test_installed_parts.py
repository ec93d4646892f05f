"""What a stack makes of upstream's real objects: images, certificates, settings and rights."""

import json

import pulumi
import pytest
from support import recorded_platform
from support.engine import Engine
from support.recorded_platform import CANARY, KATIB, reference

from infra.components import upstream
from infra.upstream import installed, preparing
from infra.upstream.images import images
from infra.upstream.install.installation import PartObjects
from infra.upstream.pod_security import forbidden
from slipway.core.report import silent
from slipway.operations.upstream_parts import BUILDER

pytestmark = pytest.mark.contract
OFF = "slipway.invalid/not-in-this-release:v0.20.0"


@pytest.fixture(scope="module")
def documents() -> list[dict]:
    preparing.prepare(installed.locked(installed.NAMES), BUILDER, silent)
    own = recorded_platform.images()
    replaced = upstream.replaced_images(own)
    parts: list[PartObjects] = []

    def run() -> None:
        secret = pulumi.Output.secret(CANARY)
        for each in installed.bundled(installed.NAMES):
            parts.append(upstream.adapted(each, replaced, own.pipelines, secret))

    Engine().deploy(run)
    return [each for part in parts for every in part.stages.values() for each in every]


def one(documents: list[dict], kind: str, name: str) -> dict:
    [found] = [each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def test_every_image_is_the_stacks_own_or_off(documents):
    """Katib's algorithms and examples are upstream's: they start with an Experiment."""
    named = {image for each in documents for image in images(each)}
    of_experiments = {
        image
        for name in ("katib-config", "trial-templates")
        for image in images(one(documents, "ConfigMap", name))
    }
    own = ("kserve_controller", "model_server", "pipelines", *KATIB)
    assert named - of_experiments == {reference(kind) for kind in own} | {OFF}
    assert all(image.startswith("ghcr.io/kubeflow/katib/") for image in of_experiments)


def test_nothing_is_left_of_cert_manager(documents):
    assert not [each for each in documents if "cert-manager" in json.dumps(each)]


def test_every_pod_meets_the_restricted_standard(documents):
    assert {
        each["kind"]: forbidden(each, "restricted") for each in documents if forbidden(each, "baseline")
    } == {}
    assert [forbidden(each, "restricted") for each in documents if forbidden(each, "restricted")] == []
    assert len([each for each in documents if each["kind"] in {"Deployment", "Job", "CronJob"}]) == 8


def test_kserve_has_the_settings_that_the_platform_needs(documents):
    data = one(documents, "ConfigMap", "inferenceservice-config")["data"]
    settings = {name: json.loads(text) for name, text in data.items()}
    assert settings["deploy"] == {"defaultDeploymentMode": "Standard"}
    assert settings["ingress"]["disableIngressCreation"] is True
    assert settings["ingress"]["enableGatewayApi"] is False
    assert settings["storageInitializer"]["image"] == reference("model_server")
    assert settings["storageInitializer"]["enableModelcar"] is False
    assert settings["security"]["autoMountServiceAccountToken"] is False
    assert settings["localModel"]["enabled"] is False
    assert {settings[name]["image"] for name in ("agent", "batcher", "logger", "router")} == {OFF}
    assert settings["explainers"] == {}
    assert settings["credentials"]["storageSecretNameAnnotation"] == "", (
        "an annotation on an InferenceService must not choose a Secret"
    )


def test_kserve_has_one_storage_container_and_no_runtime(documents):
    """Slipway's own are declared elsewhere; of two for s3:// the controller would take any."""
    kinds = {each["kind"] for each in documents}
    assert not kinds & {"ClusterStorageContainer", "ClusterServingRuntime"}
    definitions = [each["spec"] for each in documents if each["kind"] == "CustomResourceDefinition"]
    assert {each["names"]["kind"] for each in definitions if each["group"] == "serving.kserve.io"} == {
        *("InferenceService", "ServingRuntime", "ClusterServingRuntime"),
        *("TrainedModel", "InferenceGraph", "ClusterStorageContainer"),
    }


def test_the_controllers_role_is_no_administrator(documents):
    may = {
        (group, resource, verb)
        for rule in one(documents, "ClusterRole", "kserve-manager-role")["rules"]
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }
    assert ("apps", "deployments", "create") in may
    assert ("serving.kserve.io", "inferenceservices/status", "update") in may
    assert not [entry for entry in may if "*" in entry], "no wildcard"
    assert ("", "secrets", "list") not in may


def test_the_metrics_are_reached_by_nobody(documents):
    deployment = one(documents, "Deployment", "kserve-controller-manager")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert "--metrics-addr=127.0.0.1:8080" in container["args"]
    services = [each["metadata"] for each in documents if each["kind"] == "Service"]
    assert [each["name"] for each in services if each["namespace"] == "kserve"] == [
        "kserve-webhook-server-service"
    ]


def test_katib_has_no_user_interface(documents):
    assert not [each for each in documents if "katib-ui" in json.dumps(each)]


def test_the_databases_password_is_in_no_argument(documents):
    database = one(documents, "Deployment", "katib-mysql")
    [container] = database["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each for each in container.pop("env")}
    assert variables["MYSQL_ROOT_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "katib-mysql-secrets"
    assert "PASSWORD" not in json.dumps(container)
