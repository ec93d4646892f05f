"""Trainer: training jobs on several nodes, and upstream's runtimes for them. Pure."""

from typing import Final

from infra.upstream.part import (
    Accepts,
    Available,
    CaInjected,
    GoModule,
    Kustomize,
    Part,
    Rewrite,
    Source,
    Stage,
)

_NAMESPACE: Final = "kubeflow"
_VERSION: Final = "2.3.0"

PART: Final = Part(
    name="trainer",
    version=_VERSION,
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="trainer",
            repository="https://github.com/kubeflow/trainer",
            commit="658725bdae5c7e3a0854d93ac6ff492e109a22ab",
            folders=(
                "manifests/base",
                "manifests/overlays/kubeflow-platform",
                "manifests/overlays/manager",
                "manifests/overlays/runtimes",
            ),
            module=GoModule("github.com/kubeflow/trainer/v2", f"v{_VERSION}"),
        ),
    ),
    # It would fetch JobSet by URL, which is a part of its own.
    rewrites=(
        Rewrite(
            "trainer/manifests/overlays/manager/kustomization.yaml",
            "- ../../third-party/jobset # Comment this line",
            "# Comment this line",
        ),
    ),
    steps=(Kustomize("trainer/manifests/overlays/kubeflow-platform"),),
    requires=("kubeflow", "jobset"),
    stages={"ClusterTrainingRuntime": Stage.RUNTIMES},
    probes=(
        Available(_NAMESPACE, "kubeflow-trainer-controller-manager"),
        CaInjected("MutatingWebhookConfiguration", "defaulter.trainer.kubeflow.org"),
        CaInjected("ValidatingWebhookConfiguration", "validator.trainer.kubeflow.org"),
        Accepts(
            {
                "apiVersion": "trainer.kubeflow.org/v1alpha1",
                "kind": "ClusterTrainingRuntime",
                "metadata": {"name": "probe", "labels": {"trainer.kubeflow.org/framework": "torch"}},
                "spec": {
                    "mlPolicy": {"numNodes": 1, "torch": {}},
                    "template": {
                        "spec": {
                            "replicatedJobs": [
                                {
                                    "name": "node",
                                    "template": {
                                        "spec": {
                                            "template": {
                                                "spec": {"containers": [{"name": "node", "image": "probe"}]}
                                            }
                                        }
                                    },
                                }
                            ]
                        }
                    },
                },
            }
        ),
    ),
)
