"""cert-manager: the certificates of the other parts' webhooks. Pure."""

from typing import Final

from infra.upstream.part import Accepts, Available, CaInjected, GoModule, Helm, Part, Source, Stage

_NAMESPACE: Final = "cert-manager"
_VERSION: Final = "1.20.2"
_CHART: Final = "deploy/charts/cert-manager"

PART: Final = Part(
    name="cert-manager",
    version=_VERSION,
    stage=Stage.CERTIFICATES,
    sources=(
        Source(
            name="cert-manager",
            repository="https://github.com/cert-manager/cert-manager",
            commit="e5b7b18450dd2c4b993b95bcd680b1a057205b00",
            folders=(_CHART,),
            module=GoModule("github.com/cert-manager/cert-manager", f"v{_VERSION}"),
        ),
    ),
    # Upstream's release program writes this file; the repository has a template without the version.
    files={
        f"cert-manager/{_CHART}/Chart.yaml": "apiVersion: v2\nname: cert-manager\n"
        f"version: v{_VERSION}\nappVersion: v{_VERSION}\n"
    },
    steps=(
        Helm(
            f"cert-manager/{_CHART}",
            "cert-manager",
            _NAMESPACE,
            {
                "crds": {"enabled": True},
                # A Job that runs once after `helm install`; the stage's probe does the same.
                "startupapicheck": {"enabled": False},
                # The default, kube-system, needs rights there.
                "global": {"leaderElection": {"namespace": _NAMESPACE}},
            },
        ),
    ),
    namespaces={_NAMESPACE: "restricted"},
    probes=(
        Available(_NAMESPACE, "cert-manager"),
        Available(_NAMESPACE, "cert-manager-cainjector"),
        Available(_NAMESPACE, "cert-manager-webhook"),
        CaInjected("MutatingWebhookConfiguration", "cert-manager-webhook"),
        CaInjected("ValidatingWebhookConfiguration", "cert-manager-webhook"),
        Accepts(
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Issuer",
                "metadata": {"name": "probe", "namespace": _NAMESPACE},
                "spec": {"selfSigned": {}},
            }
        ),
    ),
)
