"""Facts about a tenant that components place: launcher configuration and network openings. Pure."""

from typing import Any

import yaml

from infra.names import (
    GATEWAY_NAMESPACE,
    KFP_NAMESPACE,
    KFP_PORT,
    RUNNER_SECRET,
)
from storage.layout import Buckets

MODEL_PORT = 8080
"""Where a model server answers."""


_RUNNER_KEY = {
    "secretName": RUNNER_SECRET,
    "accessKeyKey": "AWS_ACCESS_KEY_ID",
    "secretKeyKey": "AWS_SECRET_ACCESS_KEY",
}


def launcher_config(
    buckets: Buckets, tenant: str, *, endpoint: str, region: str, tls: bool, path_style: bool, keyless: bool
) -> dict[str, str]:
    """Return the data of `kfp-launcher`: where runs of this namespace keep artifacts, and with which key.

    `maxRetries` stands in the default because KFP's launcher reads it from there without asking.
    """
    provider = {
        "endpoint": endpoint,
        "region": region,
        "disableSSL": not tls,
        "forcePathStyle": path_style,
        "maxRetries": 5,
        "credentials": {"fromEnv": True} if keyless else {"fromEnv": False, "secretRef": _RUNNER_KEY},
    }
    return {
        "defaultPipelineRoot": buckets.pipeline_root(tenant),
        "providers": yaml.safe_dump({"s3": {"default": provider}}, sort_keys=True),
    }


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}


def network_openings(store_namespace: str | None, store_port: int) -> dict[str, dict[str, Any]]:
    """Return the specs of a tenant's NetworkPolicies by name: everything is shut, then each opening.

    DNS is opened by port alone: a resolver on the node or of the host is no pod that a selector finds.
    So is a store outside the cluster, whose `store_namespace` is None.
    """
    everything: dict[str, Any] = {}
    return {
        "default-deny": {"podSelector": everything, "policyTypes": ["Ingress", "Egress"]},
        "allow-dns": {
            "podSelector": everything,
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, _tcp(53)]}],
        },
        "allow-own-namespace": {
            "podSelector": everything,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": everything}]}],
            "egress": [{"to": [{"podSelector": everything}]}],
        },
        "allow-store": {
            "podSelector": everything,
            "policyTypes": ["Egress"],
            "egress": [
                {
                    **({"to": [_namespace(store_namespace)]} if store_namespace else {}),
                    "ports": [_tcp(store_port)],
                }
            ],
        },
        "allow-pipelines-api": {
            "podSelector": everything,
            "policyTypes": ["Egress"],
            "egress": [{"to": [_namespace(KFP_NAMESPACE)], "ports": [_tcp(KFP_PORT)]}],
        },
        "allow-gateway": {
            "podSelector": {
                "matchExpressions": [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]
            },
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [_namespace(GATEWAY_NAMESPACE)], "ports": [_tcp(MODEL_PORT)]}],
        },
    }
