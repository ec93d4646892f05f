"""Readiness of what runs no pods itself. Pure."""

from typing import Any, Final

from embedded.plugins.kubernetes.client import Target
from embedded.plugins.kubernetes.readiness.verdict import (
    Failed,
    Object,
    Ready,
    Related,
    Verdict,
    Waiting,
    condition,
    is_true,
    words,
)
from embedded.plugins.kubernetes.tokens import Kind

_SLICE: Final = Kind("discovery.k8s.io/v1", "EndpointSlice")
_SERVICE: Final = Kind("v1", "Service")
_CLASS: Final = Kind("storage.k8s.io/v1", "StorageClass")


def namespace(live: Object, _related: Related) -> Verdict:
    """Judge a Namespace: active."""
    phase = (live.get("status") or {}).get("phase")
    return Ready() if phase == "Active" else Waiting(f"the namespace is {phase or 'new'}")


def custom_resource_definition(live: Object, _related: Related) -> Verdict:
    """Judge a CRD: its kind can be used."""
    names = condition(live, "NamesAccepted")
    if names.get("status") == "False":
        return Failed(words(names, "its names are taken"))
    if is_true(live, "Established"):
        return Ready()
    return Waiting(words(condition(live, "Established"), "the kind is not established yet"))


def conditioned(live: Object, _related: Related) -> Verdict:
    """Judge by the condition `Ready`, as KServe and Knative report."""
    generation, seen = live["metadata"].get("generation", 0), (live.get("status") or {})
    if seen.get("observedGeneration", generation) < generation:
        return Waiting("the controller has not seen it yet")
    if is_true(live, "Ready"):
        return Ready()
    return Waiting(words(condition(live, "Ready"), "it is not ready yet"))


def api_service(live: Object, _related: Related) -> Verdict:
    """Judge an APIService: it answers."""
    if is_true(live, "Available"):
        return Ready()
    return Waiting(words(condition(live, "Available"), "it is not available yet"))


def claim(live: Object, related: Related) -> Verdict:
    """Judge a PersistentVolumeClaim: bound, or to be bound when a pod comes."""
    phase = (live.get("status") or {}).get("phase", "Pending")
    if phase == "Bound":
        return Ready()
    if phase == "Lost":
        return Failed("its volume is lost")
    for items in related.values():
        if any(item.get("volumeBindingMode") == "WaitForFirstConsumer" for item in items):
            return Ready()
    return Waiting(f"the claim is {phase}: no volume is bound")


def claim_relatives(live: Object) -> list[Target]:
    """Return the claim's class, which says whether binding waits for a pod."""
    name = live["spec"].get("storageClassName")
    return [Target(_CLASS, name=name)] if name else []


def volume(live: Object, _related: Related) -> Verdict:
    """Judge a PersistentVolume: available or in use."""
    phase = (live.get("status") or {}).get("phase", "Pending")
    if phase == "Failed":
        return Failed(words(live["status"], "the volume failed"))
    return Ready() if phase in {"Available", "Bound", "Released"} else Waiting(f"the volume is {phase}")


def service(live: Object, related: Related) -> Verdict:
    """Judge a Service: pods stand behind it, and a load balancer has an address.

    A headless one is ready at once: a StatefulSet needs it before it has pods.
    """
    spec = live["spec"]
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return Ready()
    if not _has_endpoints(related):
        return Waiting("no ready pod stands behind it")
    balancer = (live.get("status") or {}).get("loadBalancer") or {}
    if spec.get("type") == "LoadBalancer" and not balancer.get("ingress"):
        return Waiting("the load balancer has no address yet")
    return Ready()


def service_relatives(live: Object) -> list[Target]:
    """Return the slices of a Service's endpoints."""
    return [_slices(live["metadata"]["namespace"], live["metadata"]["name"])]


def service_pods(live: Object) -> str:
    """Return the selector of a Service's pods."""
    return ",".join(f"{key}={value}" for key, value in (live["spec"].get("selector") or {}).items())


def webhook_configuration(live: Object, related: Related) -> Verdict:
    """Judge a webhook configuration: every service that must answer has endpoints.

    Services that don't exist are none of its business: the program may create them later.
    """
    for namespace_, name in _services(live):
        there = related.get(Target(_SERVICE, namespace_, name))
        if there and not _has_endpoints({s: related.get(s, ()) for s in [_slices(namespace_, name)]}):
            return Waiting(f"no ready pod stands behind its service {namespace_}/{name}")
    return Ready()


def webhook_relatives(live: Object) -> list[Target]:
    """Return the services that it needs, and the slices of their endpoints."""
    named = _services(live)
    return [_slices(*one) for one in named] + [Target(_SERVICE, *one) for one in named]


def _services(live: Object) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for webhook in live.get("webhooks") or []:
        where: dict[str, Any] = (webhook.get("clientConfig") or {}).get("service") or {}
        if where and webhook.get("failurePolicy", "Fail") == "Fail":
            found[where["namespace"], where["name"]] = None
    return list(found)


def _slices(namespace_: str, name: str) -> Target:
    return Target(_SLICE, namespace_, labels=f"kubernetes.io/service-name={name}")


def _has_endpoints(related: Related) -> bool:
    for target, slices in related.items():
        if target.kind != _SLICE:
            continue
        for item in slices:
            for endpoint in item.get("endpoints") or []:
                # Unknown counts as ready, says the API.
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    return True
    return False
