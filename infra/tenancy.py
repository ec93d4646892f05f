"""Store settings and network policies of a tenant, which components deploy. Pure."""

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
"""Port of a model server."""


_CA_PATH: Final = "/etc/ssl/custom-certs/ca.crt"
"""Path of the CA certificate in KServe's storage initializer; the folder is KServe's default."""

_RUNNER_KEY = {
    "secretName": RUNNER_SECRET,
    "accessKeyKey": "AWS_ACCESS_KEY_ID",
    "secretKeyKey": "AWS_SECRET_ACCESS_KEY",
}


def launcher_config(
    buckets: Buckets, tenant: str, *, endpoint: str, region: str, tls: bool, path_style: bool, keyless: bool
) -> dict[str, str]:
    """Return the data of `kfp-launcher`: location and credentials of the artifacts of this namespace's runs.

    `maxRetries` is required: KFP's launcher reads it unconditionally.
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
    *, endpoint: str, region: str, tls: bool, path_style: bool, private_ca: bool
) -> dict[str, str]:
    """Return annotations that tell KServe's storage initializer how to reach the store.

    KServe reads them from the Secret of the predictor's ServiceAccount, or from the ServiceAccount itself
    if it has a role instead of a key.
    """
    annotations = {
        "s3-endpoint": endpoint,
        "s3-usehttps": "1" if tls else "0",
        "s3-verifyssl": "1" if tls else "0",
        "s3-region": region,
        "s3-usevirtualbucket": "false" if path_style else "true",
    }
    if private_ca:
        # A path in the container, and the ConfigMap that KServe's pod mutator mounts there.
        annotations |= {"s3-cabundle": _CA_PATH, "s3-cabundle-configmap": STORE_CA}
    return {f"serving.kserve.io/{name}": value for name, value in annotations.items()}


def storage_config(
    key: StoreKey, models_bucket: str, *, url: str, region: str, private_ca: bool
) -> dict[str, str]:
    """Return the data of KServe's `storage-config`, for those who select a store by `storage.key`."""
    entry = {
        "type": "s3",
        "access_key_id": key.access_key,
        "secret_access_key": key.secret_key.get_secret_value(),
        "endpoint_url": url,
        "verify_ssl": "1",
        "region": region,
        "bucket": models_bucket,
    }
    if private_ca:
        entry |= {"ca_bundle": _CA_PATH, "cabundle_configmap": STORE_CA}
    return {"default": json.dumps(entry, sort_keys=True)}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _tcp(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}


def network_policies(
    store_namespace: str | None, store_port: int, identity_agent: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return the specs of a tenant's NetworkPolicies by name: deny everything, then allow exceptions.

    DNS is allowed by port only: a resolver on the node is not a pod that a selector could match. The same
    applies to a store outside the cluster, whose `store_namespace` is None. `identity_agent` is the CIDR
    of the agent from which pods get their role.
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
