"""Katib: tuning, with a MySQL of its own whose password `up` makes. Pure."""

from typing import Final

from infra.upstream.part import (
    Accepts,
    Available,
    CaInjected,
    GoModule,
    Kustomize,
    MadeSecret,
    Part,
    Remove,
    Set,
    Source,
    Stage,
    Target,
)

_NAMESPACE: Final = "kubeflow"
_MANIFESTS: Final = "manifests/v1beta1"
_MYSQL: Final = ("spec", "template", "spec", "containers", "katib-mysql")

PART: Final = Part(
    name="katib",
    version="0.19.0",
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="katib",
            repository="https://github.com/kubeflow/katib",
            commit="578e60f1ce83dbb5e7151026a3bdc4de233947fc",
            folders=(f"{_MANIFESTS}/components", f"{_MANIFESTS}/installs"),
            module=GoModule("github.com/kubeflow/katib", "v0.19.0"),
        ),
    ),
    # katib-with-kubeflow adds an Istio route for the user interface; cert-manager's install needs no mesh.
    steps=(Kustomize(f"katib/{_MANIFESTS}/installs/katib-cert-manager"),),
    patches=(
        # The part `kubeflow` makes it, because other parts share it.
        Remove(Target("Namespace", _NAMESPACE)),
        Remove(Target("Secret", "katib-mysql-secrets")),
        Set(Target("Deployment", "katib-mysql"), (*_MYSQL, "env", "MYSQL_ALLOW_EMPTY_PASSWORD"), None),
    ),
    requires=("cert-manager", "kubeflow"),
    secrets=(MadeSecret(_NAMESPACE, "katib-mysql-secrets", ("MYSQL_ROOT_PASSWORD",)),),
    probes=(
        Available(_NAMESPACE, "katib-controller"),
        Available(_NAMESPACE, "katib-db-manager"),
        CaInjected("MutatingWebhookConfiguration", "katib.kubeflow.org"),
        CaInjected("ValidatingWebhookConfiguration", "katib.kubeflow.org"),
        Accepts(
            {
                "apiVersion": "kubeflow.org/v1beta1",
                "kind": "Experiment",
                "metadata": {"name": "probe", "namespace": _NAMESPACE},
                "spec": {
                    "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
                    "algorithm": {"algorithmName": "random"},
                    "parameters": [
                        {
                            "name": "rate",
                            "parameterType": "double",
                            "feasibleSpace": {"min": "0.1", "max": "0.2"},
                        }
                    ],
                    "trialTemplate": {
                        "primaryContainerName": "trial",
                        "trialParameters": [{"name": "rate", "description": "", "reference": "rate"}],
                        "trialSpec": {
                            "apiVersion": "batch/v1",
                            "kind": "Job",
                            "spec": {
                                "template": {
                                    "spec": {
                                        "restartPolicy": "Never",
                                        "containers": [
                                            {
                                                "name": "trial",
                                                "image": "probe",
                                                "args": ["${trialParameters.rate}"],
                                            }
                                        ],
                                    }
                                }
                            },
                        },
                    },
                },
            }
        ),
    ),
)
