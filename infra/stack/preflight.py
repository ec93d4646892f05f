"""Whether a team's cluster can hold the platform: asked before anything is made there."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from infra.kubernetes_api import KubernetesApi
from infra.required_rights import Right, required_rights
from infra.stack.volumes import DesiredClaim
from infra.upstream.install.probes import sample_fault
from infra.versions import KUBERNETES_NEWEST, KUBERNETES_OLDEST
from slipway.core.errors import UsageError
from slipway.core.parallel import in_parallel

_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_SHOWN: Final = 6
_ISSUER: Final = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "slipway-trial", "namespace": "default"},
    "spec": {"selfSigned": {}},
}
_GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
_ANYTHING: Final = Right("*", "*", "*")


@dataclass(frozen=True, kw_only=True)
class StorageClasses:
    """The StorageClasses of a cluster."""

    names: frozenset[str]
    default: str | None
    """The one of claims that name none."""


def storage_classes(api: KubernetesApi) -> StorageClasses:
    """Return the StorageClasses of a cluster.

    Raises:
        FailedError: it refuses to answer, or does not answer.
    """
    classes = (api.get("/apis/storage.k8s.io/v1/storageclasses") or {}).get("items") or ()
    defaults = [
        each["metadata"]
        for each in classes
        if (each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
    ]
    # Kubernetes uses the newest of several, by name where two are of the same second.
    newest = sorted(defaults, key=lambda each: each["name"])
    newest.sort(key=lambda each: str(each.get("creationTimestamp")), reverse=True)
    return StorageClasses(
        names=frozenset(each["metadata"]["name"] for each in classes),
        default=newest[0]["name"] if newest else None,
    )


def refuse_unsuitable(
    api: KubernetesApi, *, cert_manager: bool = False, gateway_class: str | None = None
) -> None:
    """Refuse a cluster of which it is known that `up` would fail there half-way.

    The first question to a cluster: what is read afterwards, such as claims, needs rights as well.

    Args:
        api: of the cluster.
        cert_manager: whether its own cert-manager is to issue the certificates of webhooks.
        gateway_class: the GatewayClass that is to publish the Services, if one is.

    Raises:
        UsageError: its version isn't supported; a right or a working cert-manager is missing.
        FailedError: it refuses to answer, or does not answer.
    """
    _refuse_version(api)
    _refuse_rights(api, cert_manager=cert_manager, gateway_api=gateway_class is not None)
    if cert_manager:
        _refuse_cert_manager(api)
    if gateway_class is not None:
        _refuse_gateway(api, gateway_class)


def _refuse_version(api: KubernetesApi) -> None:
    text = str((api.get("/version") or {}).get("gitVersion", "unknown"))
    parsed = re.match(r"v(\d+)\.(\d+)", text)
    version = (int(parsed[1]), int(parsed[2])) if parsed else None
    if version is None or not KUBERNETES_OLDEST <= version <= KUBERNETES_NEWEST:
        oldest, newest = (".".join(map(str, each)) for each in (KUBERNETES_OLDEST, KUBERNETES_NEWEST))
        raise UsageError(
            f"The cluster runs Kubernetes {text}.",
            why=f"Slipway supports {oldest} to {newest}: older ones have no ValidatingAdmissionPolicy, newer "
            "ones were not tested.",
            fix="Use a cluster of a supported version.",
        )


def refuse_storage(api: KubernetesApi, missing: Iterable[DesiredClaim]) -> None:
    """Refuse claims for which the cluster has no StorageClass.

    Args:
        api: of the cluster.
        missing: the claims that the program makes and the cluster does not have.

    Raises:
        UsageError: a StorageClass is missing.
        FailedError: the cluster refuses to answer, or does not answer.
    """
    classes = storage_classes(api)
    known = ", ".join(sorted(classes.names)) or "none"
    for claim in missing:
        namespace, name = claim.place
        if claim.storage_class is None and classes.default is None:
            raise UsageError(
                f"The cluster has no default StorageClass for volume {namespace}/{name}.",
                why=f"Its StorageClasses are: {known}.",
                fix=f"Mark one as default, or set {claim.class_setting} to one of them.",
            )
        if claim.storage_class is not None and claim.storage_class not in classes.names:
            raise UsageError(
                f"The cluster has no StorageClass {claim.storage_class!r} for volume {namespace}/{name}.",
                why=f"Its StorageClasses are: {known}.",
                fix=f"Set {claim.class_setting} to one of them.",
            )


def _refuse_rights(api: KubernetesApi, *, cert_manager: bool, gateway_api: bool) -> None:
    if _allowed(api, _ANYTHING):
        return
    rights = [*required_rights(cert_manager=cert_manager, gateway_api=gateway_api)]
    answers = in_parallel(lambda right: _allowed(api, right), rights)
    missing = [str(right) for right, allowed in zip(rights, answers, strict=True) if not allowed]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise UsageError(
            f"The kubeconfig's user may not {', '.join(missing[:_SHOWN])}{more} in the cluster.",
            why="`slipway up` does this; it would stop half-way.",
            fix="Ask for these rights in every namespace, or for the ClusterRole cluster-admin.",
        )


def _refuse_cert_manager(api: KubernetesApi) -> None:
    """Try what cert-manager's own check of its API tries: an Issuer that is not made."""
    if fault := sample_fault(api, [_ISSUER]):
        raise UsageError(
            "The cluster's cert-manager can't be used.",
            why=f"{fault[0].upper()}{fault[1:]}.",
            fix="Install cert-manager, or set cluster.cert_manager to false: a Job of Slipway's issues the "
            "certificates then.",
        )


def _refuse_gateway(api: KubernetesApi, gateway_class: str) -> None:
    for version, kind in ((_GATEWAY_API, "TLSRoute"), ("cert-manager.io/v1", "Certificate")):
        if api.plural(version, kind) is None:
            raise UsageError(
                f"The cluster does not serve {kind} of {version}.",
                why="Endpoints of kind `gateway-api` are a Gateway with a certificate of cert-manager.",
                fix="Install Gateway API 1.5 or newer and cert-manager, or choose another kind of endpoints.",
            )
    path = f"/apis/{_GATEWAY_API}/gatewayclasses"
    known = [each["metadata"]["name"] for each in (api.get(path) or {}).get("items") or ()]
    if gateway_class not in known:
        raise UsageError(
            f"The cluster has no GatewayClass {gateway_class!r}.",
            why=f"Its GatewayClasses are: {', '.join(sorted(known)) or 'none'}.",
            fix="Set endpoints.gateway_class to one of them.",
        )


def _allowed(api: KubernetesApi, right: Right) -> bool:
    attributes = {"group": right.group, "resource": right.resource, "verb": right.verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = api.create(_REVIEWS, review)
    return bool(answer["status"].get("allowed"))
