"""Stand-ins for the objects of upstream's parts: the same shape, a hundredth of the size."""

from typing import Any

from infra.upstream.parts import katib, kserve


def _object(version: str, kind: str, name: str, namespace: str = "", **content: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _definition(plural: str, group: str) -> dict[str, Any]:
    names = {"plural": plural, "kind": plural.title()}
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": []}
    return _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}", spec=spec)


def _webhooks(kind: str, name: str, namespace: str, service: str, certificate: str, *resources: str) -> dict:
    group = name.partition(".")[2]
    hooks = [
        {
            "name": f"{each}.{name}",
            "admissionReviewVersions": ["v1beta1"],
            "clientConfig": {"service": {"name": service, "namespace": namespace, "path": f"/{each}"}},
            "failurePolicy": "Fail",
            "objectSelector": {
                "matchExpressions": [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]
            },
            "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "resources": [each]}],
            "sideEffects": "None",
        }
        for each in resources
    ]
    made = _object("admissionregistration.k8s.io/v1", f"{kind}WebhookConfiguration", name, webhooks=hooks)
    made["metadata"]["annotations"] = {"cert-manager.io/inject-ca-from": f"{namespace}/{certificate}"}
    return made


def _certificate(name: str, namespace: str, service: str, secret: str) -> list[dict[str, Any]]:
    version = "cert-manager.io/v1"
    issuer = {"kind": "Issuer", "name": f"{name}-issuer"}
    spec = {"dnsNames": [f"{service}.{namespace}.svc"], "issuerRef": issuer, "secretName": secret}
    return [
        _object(version, "Certificate", name, namespace, spec=spec),
        _object(version, "Issuer", f"{name}-issuer", namespace, spec={"selfSigned": {}}),
    ]


def _deployment(name: str, namespace: str, image: str) -> dict[str, Any]:
    labels = {"control-plane": name}
    container = {
        "name": "manager",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "384Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"metadata": {"labels": labels}, "spec": {"securityContext": context, "containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    return _object("apps/v1", "Deployment", name, namespace, spec=spec)


def _namespace(name: str) -> dict[str, Any]:
    made = _object("v1", "Namespace", name)
    made["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}
    return made


_GROUP = "serving.kserve.io"
_HOOKS = ("kserve", "kserve-webhook-server-service", "serving-cert")
_KINDS = ("clusterservingruntime", "inferencegraph", "inferenceservice", "servingruntime", "trainedmodel")
KSERVE: list[dict[str, Any]] = [
    _namespace("kserve"),
    *(_definition(f"{kind}s", _GROUP) for kind in (*_KINDS, "clusterstoragecontainer")),
    *_certificate("serving-cert", "kserve", "kserve-webhook-server-service", "kserve-webhook-server-cert"),
    _webhooks("Mutating", f"inferenceservice.{_GROUP}", *_HOOKS, "inferenceservices", "pods"),
    *(_webhooks("Validating", f"{kind}.{_GROUP}", *_HOOKS, f"{kind}s") for kind in _KINDS),
    _object("v1", "ServiceAccount", "kserve-controller-manager", "kserve"),
    _object(
        "v1",
        "ConfigMap",
        "inferenceservice-config",
        "kserve",
        data={"storageInitializer": f'{{"image": "{kserve.STORAGE_INITIALIZER}"}}'},
    ),
    _deployment("kserve-controller-manager", "kserve", kserve.CONTROLLER),
    _object(
        "v1",
        "Service",
        "kserve-webhook-server-service",
        "kserve",
        spec={"ports": [{"port": 443}], "selector": {"control-plane": "kserve-controller-manager"}},
    ),
]
"""A namespace, definitions, webhooks with a certificate of cert-manager's, a controller and its settings."""

_TUNING = ("kubeflow", "katib-controller", "katib-webhook-cert")
KATIB: list[dict[str, Any]] = [
    *(_definition(f"{kind}s", "kubeflow.org") for kind in ("experiment", "suggestion", "trial")),
    *_certificate("katib-webhook-cert", "kubeflow", "katib-controller", "katib-webhook-cert"),
    _webhooks("Mutating", "katib.kubeflow.org", *_TUNING, "experiments"),
    _webhooks("Validating", "katib.kubeflow.org", *_TUNING, "experiments"),
    _deployment("katib-controller", "kubeflow", katib.CONTROLLER),
    _deployment("katib-db-manager", "kubeflow", katib.DB_MANAGER),
    _deployment("katib-mysql", "kubeflow", katib.MYSQL),
]
OBJECTS = {"kubeflow": [_namespace("kubeflow")], "kserve": KSERVE, "katib": KATIB}
"""By part."""
