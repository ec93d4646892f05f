"""Istio with its CNI plugin and two gateways, as the community distribution installs it. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Accepts, Available, CaInjected, Kustomize, Part, Set, Stage, Target, Waiver

_NAMESPACE: Final = "istio-system"

PART: Final = Part(
    name="istio",
    version="1.30.1",
    stage=Stage.ISSUERS,
    sources=(
        distribution(
            "common/istio/cluster-local-gateway",
            "common/istio/istio-crds",
            "common/istio/istio-install",
            "common/istio/istio-namespace",
            "common/oauth2-proxy/components/istio-external-auth-patches",
        ),
    ),
    steps=tuple(
        Kustomize(f"{NAME}/common/istio/{path}")
        for path in (
            "istio-crds/base",
            "istio-namespace/base",
            "istio-install/overlays/oauth2-proxy",
            "cluster-local-gateway/base",
        )
    ),
    patches=(
        # istiod turns Ignore into this once it runs, which would show as a change at each `up`
        # (istio/istio#44285).
        Set(
            Target("ValidatingWebhookConfiguration", "istio-validator-istio-system"),
            ("webhooks", "rev.validation.istio.io", "failurePolicy"),
            "Fail",
        ),
    ),
    # Before istiod answers, it would refuse the mesh's own objects.
    stages={"ValidatingWebhookConfiguration": Stage.IDENTITY},
    namespaces={_NAMESPACE: "restricted"},
    requires=("kubeflow",),
    waivers=(
        Waiver(
            "DaemonSet",
            "istio-cni-node",
            (
                "hostPath volumes",
                "AppArmor",
                "capabilities",
                "volume types",
                "privilege escalation",
                "running as non-root",
                "running as root user",
                "seccomp",
            ),
            "It installs the CNI plugin on each node, so that no pod needs rights over the network.",
        ),
    ),
    # The injector composes it from `hub`, `image` and `tag`.
    images=("registry.istio.io/release/proxyv2:1.30.1",),
    probes=(
        Available(_NAMESPACE, "istiod"),
        Available(_NAMESPACE, "istio-ingressgateway"),
        Available(_NAMESPACE, "cluster-local-gateway"),
        CaInjected("MutatingWebhookConfiguration", "istio-sidecar-injector"),
        CaInjected("ValidatingWebhookConfiguration", "istio-validator-istio-system"),
        Accepts(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "Sidecar",
                "metadata": {"name": "probe", "namespace": _NAMESPACE},
                "spec": {
                    "workloadSelector": {"labels": {"app": "probe"}},
                    "egress": [{"hosts": ["./*"]}],
                },
            }
        ),
    ),
)
