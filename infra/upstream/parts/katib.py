"""Katib: tuning, with a MySQL of its own whose password `up` makes. Pure.

Without its user interface: that takes the user's name from a header which only a mesh with a login can be
trusted to set.
"""

from typing import Final

from infra.upstream.part import (
    Available,
    CaInjected,
    GoModule,
    Kustomize,
    MadeSecret,
    Part,
    Patch,
    Refuses,
    Remove,
    Set,
    Source,
    Stage,
    Target,
)
from infra.versions import KATIB

_NAMESPACE: Final = "kubeflow"
_MANIFESTS: Final = "manifests/v1beta1"
_CONTAINERS: Final = ("spec", "template", "spec", "containers")
_MYSQL: Final = (*_CONTAINERS, "katib-mysql")
_DATABASE: Final = Target("Deployment", "katib-mysql")
_LISTENS: Final = {"tcpSocket": {"port": "dbapi"}}

CONTROLLER: Final = f"ghcr.io/kubeflow/katib/katib-controller:v{KATIB}"
DB_MANAGER: Final = f"ghcr.io/kubeflow/katib/katib-db-manager:v{KATIB}"
MYSQL: Final = "mysql:8.0.29"
"""Images as the manifests name them."""

_WITHOUT_INTERFACE: Final[tuple[Patch, ...]] = tuple(
    Remove(Target(kind, "katib-ui"))
    for kind in ("Deployment", "Service", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
)

PART: Final = Part(
    name="katib",
    version=KATIB,
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="katib",
            repository="https://github.com/kubeflow/katib",
            commit="578e60f1ce83dbb5e7151026a3bdc4de233947fc",
            folders=(f"{_MANIFESTS}/components", f"{_MANIFESTS}/installs"),
            module=GoModule("github.com/kubeflow/katib", f"v{KATIB}"),
        ),
    ),
    # katib-with-kubeflow adds an Istio route for the user interface; cert-manager's install needs no mesh.
    steps=(Kustomize(f"katib/{_MANIFESTS}/installs/katib-cert-manager"),),
    patches=(
        # The part `kubeflow` makes it, because other parts share it.
        Remove(Target("Namespace", _NAMESPACE)),
        Remove(Target("Secret", "katib-mysql-secrets")),
        Set(_DATABASE, (*_MYSQL, "env", "MYSQL_ALLOW_EMPTY_PASSWORD"), None),
        # Upstream's have the password in the arguments of a client. The server listens once it is ready.
        Set(_DATABASE, (*_MYSQL, "startupProbe"), {**_LISTENS, "periodSeconds": 2, "failureThreshold": 450}),
        Set(_DATABASE, (*_MYSQL, "readinessProbe"), {**_LISTENS, "periodSeconds": 5}),
        Set(_DATABASE, (*_MYSQL, "livenessProbe"), {**_LISTENS, "periodSeconds": 10, "failureThreshold": 10}),
        # It has none, and would be ready before it has found the database.
        Set(
            Target("Deployment", "katib-db-manager"),
            (*_CONTAINERS, "katib-db-manager", "readinessProbe"),
            {"grpc": {"port": 6789}, "periodSeconds": 2},
        ),
        Set(
            Target("Deployment", "katib-controller"),
            (*_CONTAINERS, "katib-controller", "readinessProbe", "periodSeconds"),
            2,
        ),
        *_WITHOUT_INTERFACE,
    ),
    requires=("cert-manager", "kubeflow"),
    secrets=(MadeSecret(_NAMESPACE, "katib-mysql-secrets", ("MYSQL_ROOT_PASSWORD",)),),
    probes=(
        Available(_NAMESPACE, "katib-controller"),
        Available(_NAMESPACE, "katib-db-manager"),
        CaInjected("MutatingWebhookConfiguration", "katib.kubeflow.org"),
        CaInjected("ValidatingWebhookConfiguration", "katib.kubeflow.org"),
        # An Experiment that passes needs the namespace of a tenant.
        Refuses(
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
            },
            "the namespace lacks label",
        ),
    ),
)
