"""JobSet: groups of Jobs that start and fail together; Trainer needs it. Pure."""

from typing import Final

from infra.upstream.part import (
    Accepts,
    Available,
    CaInjected,
    GoModule,
    Kustomize,
    Part,
    Rewrite,
    Set,
    Source,
    Stage,
    Target,
)

_NAMESPACE: Final = "jobset-system"
_VERSION: Final = "0.12.0"

PART: Final = Part(
    name="jobset",
    version=_VERSION,
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="jobset",
            repository="https://github.com/kubernetes-sigs/jobset",
            commit="f22e565ac3cc3265c7c45ef67ecffdc689af5d77",
            folders=("config/default", "config/components"),
            module=GoModule("sigs.k8s.io/jobset", f"v{_VERSION}"),
        ),
    ),
    # The repository names the registry of its builds; releases are published at the other.
    rewrites=(
        Rewrite(
            "jobset/config/components/manager/kustomization.yaml",
            "us-central1-docker.pkg.dev/k8s-staging-images/jobset/jobset",
            "registry.k8s.io/jobset/jobset",
        ),
    ),
    steps=(Kustomize("jobset/config/default"),),
    patches=(
        # Upstream leaves $(CERTIFICATE_NAMESPACE)/… there; JobSet makes its certificate itself.
        Set(
            Target("CustomResourceDefinition", "jobsets.jobset.x-k8s.io"),
            ("metadata", "annotations", "cert-manager.io/inject-ca-from"),
            None,
        ),
    ),
    namespaces={_NAMESPACE: "restricted"},
    probes=(
        Available(_NAMESPACE, "jobset-controller-manager"),
        CaInjected("MutatingWebhookConfiguration", "jobset-mutating-webhook-configuration"),
        CaInjected("ValidatingWebhookConfiguration", "jobset-validating-webhook-configuration"),
        Accepts(
            {
                "apiVersion": "jobset.x-k8s.io/v1alpha2",
                "kind": "JobSet",
                "metadata": {"name": "probe", "namespace": _NAMESPACE},
                "spec": {
                    "suspend": True,
                    "replicatedJobs": [
                        {
                            "name": "probe",
                            "replicas": 1,
                            "template": {
                                "spec": {
                                    "template": {
                                        "spec": {
                                            "restartPolicy": "Never",
                                            "containers": [{"name": "probe", "image": "probe"}],
                                        }
                                    }
                                }
                            },
                        }
                    ],
                },
            }
        ),
    ),
)
