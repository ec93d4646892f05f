"""Pure modules: KServe's objects, the admission policy, a tenant's launcher config and network policies."""

import json
import re

import yaml

from infra import admission, tenancy
from infra.components.kserve import objects
from storage.layout import Buckets


def test_the_launcher_config_has_root_endpoint_and_secret():
    data = tenancy.launcher_config(
        Buckets(),
        "team-a",
        endpoint="minio.store:9000",
        region="us-east-1",
        tls=False,
        path_style=True,
        keyless=False,
    )
    assert data["defaultPipelineRoot"] == "s3://slipway-artifacts/team-a/runs"
    assert yaml.safe_load(data["providers"]) == {
        "s3": {
            "default": {
                "endpoint": "minio.store:9000",
                "region": "us-east-1",
                "disableSSL": True,
                "forcePathStyle": True,
                "maxRetries": 5,
                "credentials": {
                    "fromEnv": False,
                    "secretRef": {
                        "secretName": "store-runner",
                        "accessKeyKey": "AWS_ACCESS_KEY_ID",
                        "secretKeyKey": "AWS_SECRET_ACCESS_KEY",
                    },
                },
            }
        }
    }


def test_the_embedded_pipelines_api_reads_the_launcher_config():
    from embedded.kfp.launcher_config import LauncherConfig

    class Objects:
        def config_map(self, namespace, name):
            return tenancy.launcher_config(
                Buckets(),
                namespace,
                endpoint="minio.store:9000",
                region="us-east-1",
                tls=False,
                path_style=True,
                keyless=False,
            )

        def secret(self, namespace, name):
            assert name == "store-runner"
            return {"AWS_ACCESS_KEY_ID": b"key", "AWS_SECRET_ACCESS_KEY": b"secret"}

    access = LauncherConfig(Objects(), "team-a").access("s3", "slipway-artifacts", "team-a/runs/x")
    assert (access.endpoint_url, access.access_key) == ("http://minio.store:9000", "key")


def test_network_policies_deny_by_default():
    policies = tenancy.network_policies("slipway-store", 9000)
    default_deny = policies.pop("default-deny")
    assert default_deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in (*policy.get("ingress", ()), *policy.get("egress", ())):
            assert rule, f"{name}: an empty rule allows everything"
            if name != "allow-own-namespace":
                assert rule["ports"], name


def test_the_policy_ends_the_tenant_prefix_with_a_slash():
    """Without it, team-a could read models of team-ab."""
    spec = admission.model_source(Buckets(models="acme-models"), {"cpu": "1", "memory": "1Gi"})
    text = json.dumps(spec)
    assert "'s3://acme-models/' + request.namespace + '/'" in text
    assert spec["failurePolicy"] == "Fail"
    [rule] = spec["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["inferenceservices"]
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    assert all(check["reason"] == "Forbidden" for check in spec["validations"])


def test_the_runtime_serves_under_the_inference_service_name():
    spec = objects.serving_runtime("image:1", cpu_limit="1", memory_limit="1Gi")
    [container] = spec["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert variables == {"MODEL_NAME": "{{.Name}}"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/models/{{.Name}}/ready"
    assert not re.search(r"\{\{(?!\.Name\}\})", json.dumps(spec)), "KServe fills in only the name"
