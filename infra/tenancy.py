"""Facts about a tenant that components place: store settings of each reader, network openings. Pure."""

import json
from typing import Any, Final

import yaml

from infra.names import (
    GATEWAY_NAMESPACE,
    KFP_NAMESPACE,
    KFP_PORT,
    RUNNER_SECRET,
    STORE_CA,
)
from storage.keys import StoreKey
from storage.layout import Buckets

MODEL_PORT = 8080
"""Where a model server answers."""


_AUTHORITY: Final = "/etc/ssl/custom-certs/ca.crt"
"""Where KServe's storage initializer finds the authority: its folder is KServe's default."""

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


def kserve_annotations(
    *, endpoint: str, region: str, tls: bool, path_style: bool, private_authority: bool
) -> dict[str, str]:
    """Return how KServe's storage initializer reaches the store.

    KServe reads them of the Secret that its predictor's ServiceAccount names, and of the ServiceAccount
    itself where that carries a role and there is no key.
    """
    found = {
        "s3-endpoint": endpoint,
        "s3-usehttps": "1" if tls else "0",
        "s3-verifyssl": "1" if tls else "0",
        "s3-region": region,
        "s3-usevirtualbucket": "false" if path_style else "true",
    }
    if private_authority:
        # The first is a path in the container; its pod mutator mounts the second at that path's folder.
        found |= {"s3-cabundle": _AUTHORITY, "s3-cabundle-configmap": STORE_CA}
    return {f"serving.kserve.io/{name}": value for name, value in found.items()}


def storage_config(
    key: StoreKey, models_bucket: str, *, url: str, region: str, private_authority: bool
) -> dict[str, str]:
    """Return the data of KServe's `storage-config`, which serves those who name a store by `storage.key`."""
    entry = {
        "type": "s3",
        "access_key_id": key.access_key,
        "secret_access_key": key.secret_key.get_secret_value(),
        "endpoint_url": url,
        "verify_ssl": "1",
        "region": region,
        "bucket": models_bucket,
    }
    if private_authority:
        entry |= {"ca_bundle": _AUTHORITY, "cabundle_configmap": STORE_CA}
    return {"default": json.dumps(entry, sort_keys=True)}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}


def network_openings(
    store_namespace: str | None, store_port: int, identity_agent: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return the specs of a tenant's NetworkPolicies by name: everything is shut, then each opening.

    DNS is opened by port alone: a resolver on the node or of the host is no pod that a selector finds.
    So is a store outside the cluster, whose `store_namespace` is None. `identity_agent` is where pods
    ask for the role they run as.
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
                },
                *(
                    [{"to": [{"ipBlock": {"cidr": identity_agent}}], "ports": [_tcp(80)]}]
                    if identity_agent
                    else []
                ),
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
