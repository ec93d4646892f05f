"""The platform's Services behind a Gateway of the Gateway API, as objects. Pure.

Predictions end their TLS at the Gateway, with a certificate of a cert-manager issuer. The store keeps its own
TLS: clients verify the CA that its server has, so the Gateway passes the connection on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.names import (
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    GATEWAY_SERVICE,
    PART_OF,
    STORE_CONSOLE_PORT,
    STORE_LABELS,
    STORE_NAMESPACE,
    STORE_PORT,
    STORE_SERVICE,
)

Document = Mapping[str, Any]

NAME: Final = "slipway"
"""Of the Gateway."""
_VERSION: Final = "gateway.networking.k8s.io/v1"
_CERTIFICATE: Final = "gateway-certificate"
_HTTPS: Final = 443
_PASSED_ON: Final = {"store": STORE_PORT, "console": STORE_CONSOLE_PORT}
"""Ports of the store's Service, by the name of the endpoint."""


def documents(gateway_class: str, issuer: str, hosts: Mapping[str, str]) -> list[Document]:
    """Return the Gateway, its certificate and its routes.

    Args:
        gateway_class: the name of the GatewayClass, of any implementation that supports TLSRoute.
        issuer: the name of a ClusterIssuer of cert-manager.
        hosts: host names by endpoint: `gateway`, and `store` and `console` where the store is in the cluster.
    """
    models = hosts["gateway"]
    passed_on = {name: hosts[name] for name in _PASSED_ON if name in hosts}
    return [
        _object(
            "cert-manager.io/v1",
            "Certificate",
            _CERTIFICATE,
            GATEWAY_NAMESPACE,
            secretName=_CERTIFICATE,
            dnsNames=[models],
            issuerRef={"group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer},
        ),
        _object(
            _VERSION,
            "Gateway",
            NAME,
            GATEWAY_NAMESPACE,
            gatewayClassName=gateway_class,
            listeners=[_terminating(models), *(_passing(name, host) for name, host in passed_on.items())],
        ),
        _object(
            _VERSION,
            "HTTPRoute",
            GATEWAY_SERVICE,
            GATEWAY_NAMESPACE,
            parentRefs=[{"name": NAME, "sectionName": "gateway"}],
            hostnames=[models],
            rules=[{"backendRefs": [{"name": GATEWAY_SERVICE, "port": GATEWAY_PORT}]}],
        ),
        *(
            _object(
                _VERSION,
                "TLSRoute",
                f"{STORE_SERVICE}-{name}",
                STORE_NAMESPACE,
                parentRefs=[{"name": NAME, "namespace": GATEWAY_NAMESPACE, "sectionName": name}],
                hostnames=[host],
                rules=[{"backendRefs": [{"name": STORE_SERVICE, "port": _PASSED_ON[name]}]}],
            )
            for name, host in passed_on.items()
        ),
        *([_policy([_PASSED_ON[name] for name in passed_on])] if passed_on else []),
    ]


def _policy(ports: Sequence[int]) -> Document:
    """Let the Gateway's pods reach the store: in which namespace they are depends on the implementation."""
    return _object(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        f"{STORE_SERVICE}-routes",
        STORE_NAMESPACE,
        podSelector={"matchLabels": {**STORE_LABELS}},
        policyTypes=["Ingress"],
        ingress=[{"ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
    )


def _terminating(host: str) -> Document:
    return {
        "name": "gateway",
        "hostname": host,
        "port": _HTTPS,
        "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": _CERTIFICATE}]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }


def _passing(name: str, host: str) -> Document:
    own = {"matchLabels": {"kubernetes.io/metadata.name": STORE_NAMESPACE}}
    return {
        "name": name,
        "hostname": host,
        "port": _HTTPS,
        "protocol": "TLS",
        "tls": {"mode": "Passthrough"},
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": own}},
    }


def _object(version: str, kind: str, name: str, namespace: str, **spec: object) -> Document:
    metadata = {"name": name, "namespace": namespace, "labels": {**PART_OF}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
