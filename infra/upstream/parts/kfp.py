"""Kubeflow Pipelines with Argo Workflows; without a database, a store and upstream's credentials. Pure.

Its database and its store are the stack's: the installation has to set their addresses in the ConfigMaps
`pipeline-install-config` and `workflow-controller-configmap` and in the Deployments that name them.
"""

import json
from typing import Final

from infra.upstream.part import (
    Append,
    Available,
    CaInjected,
    GoModule,
    Kustomize,
    MadeSecret,
    Own,
    Part,
    Patch,
    Remove,
    Rewrite,
    Source,
    Stage,
    Target,
)

_NAMESPACE: Final = "kubeflow"
_MANIFESTS: Final = "pipelines/manifests/kustomize"
_ARGO: Final = "https://github.com/argoproj/argo-workflows/manifests"
_ARGO_VERSION: Final = "4.0.5"
_INSTALL: Final = f"{_MANIFESTS}/env/platform-agnostic-multi-user/kustomization.yaml"

# The file in the API server's image has a key of MinIO that everybody knows, and an address of another
# distribution for MLflow, which each run would try.
_CONFIG: Final = {
    "DBConfig": {
        "MySQLConfig": {"DataSourceName": "", "DBName": "mlpipeline", "GroupConcatMaxLen": "4194304"},
        "ConMaxLifeTime": "120s",
    },
    "ObjectStoreConfig": {"PipelinePath": "pipelines"},
    "DBDriverName": "mysql",
    "ARCHIVE_CONFIG_LOG_FILE_NAME": "main.log",
    "ARCHIVE_CONFIG_LOG_PATH_PREFIX": "/artifacts",
    "InitConnectionTimeout": "6m",
    "DEFAULTPIPELINERUNNERSERVICEACCOUNT": "pipeline-runner",
    "CacheEnabled": "true",
    "CRON_SCHEDULE_TIMEZONE": "UTC",
    "CACHE_NODE_RESTRICTIONS": "false",
}
_CONFIG_NAME: Final = "ml-pipeline-api-config"
_API: Final = Target("Deployment", "ml-pipeline")
_POD: Final = ("spec", "template", "spec")

_OWN_CONFIG: Final[tuple[Patch, ...]] = (
    Append(_API, (*_POD, "volumes"), {"name": "config", "configMap": {"name": _CONFIG_NAME}}),
    Append(
        _API,
        (*_POD, "containers", "ml-pipeline-api-server", "volumeMounts"),
        {
            "name": "config",
            "mountPath": "/config/config.json",
            "subPath": "config.json",
            "readOnly": True,
        },
    ),
)

PART: Final = Part(
    name="kfp",
    version="2.17.0",
    stage=Stage.CONTROLLERS,
    sources=(
        Source(
            name="pipelines",
            repository="https://github.com/kubeflow/pipelines",
            commit="4a3592cb2dd0a91a4652ab93893ec8beda1f3158",
            folders=(
                "manifests/kustomize/base",
                "manifests/kustomize/env/cert-manager",
                "manifests/kustomize/env/platform-agnostic-multi-user",
                "manifests/kustomize/third-party/argo/base",
                "manifests/kustomize/third-party/argo/installs/cluster",
            ),
        ),
        Source(
            name="argo-workflows",
            repository="https://github.com/argoproj/argo-workflows",
            commit="0ab1452144d8f4d57c50b37ce50dad218868e950",
            folders=("manifests/base", "manifests/cluster-install-no-crds"),
            module=GoModule("github.com/argoproj/argo-workflows/v4", f"v{_ARGO_VERSION}"),
        ),
    ),
    rewrites=(
        *(
            Rewrite(
                f"{_MANIFESTS}/third-party/argo/{file}/kustomization.yaml", f"{_ARGO}/{path}{query}", there
            )
            for file, path, query, there in (
                (
                    "base",
                    "base/workflow-controller",
                    f"?ref=v{_ARGO_VERSION}&timeout=60s",
                    "../../../../../../argo-workflows/manifests/base/workflow-controller",
                ),
                (
                    "installs/cluster",
                    "base/crds/minimal",
                    f"?ref=v{_ARGO_VERSION}",
                    "../../../../../../../argo-workflows/manifests/base/crds/minimal",
                ),
                (
                    "installs/cluster",
                    "cluster-install-no-crds/workflow-controller-rbac",
                    f"?ref=v{_ARGO_VERSION}",
                    "../../../../../../../argo-workflows/manifests/cluster-install-no-crds/workflow-controller-rbac",
                ),
            )
        ),
        *(
            Rewrite(_INSTALL, f"- ../../third-party/{name}\n", "")
            for name in ("metacontroller/base", "mysql/base", "mysql/options/istio", "seaweedfs/istio")
        ),
        # It makes buckets and users of the store for each namespace; Slipway's tenants have their own.
        Rewrite(
            f"{_MANIFESTS}/base/installs/multi-user/kustomization.yaml",
            "- pipelines-profile-controller\n",
            "",
        ),
    ),
    steps=(
        Kustomize(f"{_MANIFESTS}/env/cert-manager/platform-agnostic-multi-user"),
        Own(
            (
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": _CONFIG_NAME, "namespace": _NAMESPACE},
                    "data": {"config.json": json.dumps(_CONFIG, indent=2)},
                },
            )
        ),
    ),
    patches=(Remove(Target("Secret", "mysql-secret")), *_OWN_CONFIG),
    requires=("cert-manager", "kubeflow", "istio"),
    secrets=(
        MadeSecret(_NAMESPACE, "mysql-secret", ("username", "password")),
        MadeSecret(_NAMESPACE, "mlpipeline-minio-artifact", ("accesskey", "secretkey")),
    ),
    # The base image of components that name none.
    images=("docker.io/library/python:3.11",),
    probes=(
        *(
            Available(_NAMESPACE, name)
            for name in (
                "cache-server",
                "metadata-grpc-deployment",
                "ml-pipeline",
                "ml-pipeline-persistenceagent",
                "ml-pipeline-scheduledworkflow",
                "ml-pipeline-ui",
                "workflow-controller",
            )
        ),
        CaInjected("MutatingWebhookConfiguration", "cache-webhook-kubeflow"),
    ),
)
