"""The pod of the pipelines API: the server and its steps in two containers, as two users.

Steps run code that tenants wrote. Only the server's container mounts the database volume and the
ServiceAccount token, which can read each tenant's store key. Both containers mount the steps' working
folder; the server owns it, so that a step can write only below its own folder. Steps of different tenants
that run at the same time share one container, one user and the pod's network.
"""

from typing import Final
from urllib.parse import urlsplit

import pulumi_kubernetes as k8s

from infra.names import CA_KEY, KFP_NAMESPACE, KFP_PORT, KFP_SERVICE, KFP_SERVICE_ACCOUNT, STORE_CA
from infra.pod_defaults import (
    SCRATCH,
    container_security_context,
    http_probe,
    pod_security_context,
    resources,
)
from infra.stores.handle import StoreHandle

SERVER_USER: Final = 65532
"""User and group ID of our images; the volumes belong to the group."""
STEPS_USER: Final = 65533

_CA_FOLDER: Final = "/etc/slipway-ca"
_TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_WORK: Final = "/work"
_RUNS: Final = f"{_WORK}/runs"
_SOCKET: Final = f"{_RUNS}/steps.sock"
_PRELOAD: Final = "pandas,pyarrow.parquet,sklearn.ensemble,skl2onnx"
"""Modules that most steps import: loaded once, about 230 MiB that all steps share.

Without onnxruntime: it starts a thread on import, and threads don't survive a fork.
"""

Mount = k8s.core.v1.VolumeMountArgs
Volume = k8s.core.v1.VolumeArgs


def pod(image: str, store: StoreHandle, endpoint: str) -> k8s.core.v1.PodSpecArgs:
    """Return the pod spec; `endpoint` is the API's URL from outside the cluster."""
    return k8s.core.v1.PodSpecArgs(
        service_account_name=KFP_SERVICE_ACCOUNT,
        automount_service_account_token=False,
        security_context=pod_security_context(volume_group=SERVER_USER),
        # Running steps are stopped before the server.
        termination_grace_period_seconds=30,
        init_containers=[_folders(image)],
        containers=[_server(image, store, endpoint), _steps(image, store)],
        volumes=[
            Volume(name="data", persistent_volume_claim={"claim_name": f"{KFP_SERVICE}-data"}),
            Volume(name="token", projected={"sources": _token()}),
            Volume(name="work", empty_dir={}),
            Volume(name="scratch", empty_dir={}),
            Volume(name="steps-scratch", empty_dir={}),
            *(
                []
                if store.ca_certificate is None
                else [Volume(name="authority", config_map={"name": STORE_CA})]
            ),
        ],
    )


def hosts(endpoint: str) -> list[str]:
    """Return the host names of the API, in addition to localhost and its address."""
    names = [KFP_SERVICE, f"{KFP_SERVICE}.{KFP_NAMESPACE}", f"{KFP_SERVICE}.{KFP_NAMESPACE}.svc",
             f"{KFP_SERVICE}.{KFP_NAMESPACE}.svc.cluster.local"]  # fmt: skip
    published = urlsplit(endpoint).hostname
    return names if published is None else [*names, published]


def _folders(image: str) -> k8s.core.v1.ContainerArgs:
    """Create the runs folder before the steps' container mounts it; only the server may write to it."""
    return k8s.core.v1.ContainerArgs(
        name="folders",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["mkdir", "-p", "-m", "2750", _RUNS],
        security_context=container_security_context(user=SERVER_USER),
        resources=resources(cpu="10m", memory="16Mi", memory_limit="64Mi"),
        volume_mounts=[Mount(name="work", mount_path=_WORK)],
    )


def _server(image: str, store: StoreHandle, endpoint: str) -> k8s.core.v1.ContainerArgs:
    health = "/apis/v2beta1/healthz"
    allowed = [option for host in hosts(endpoint) for option in ("--allow-host", host)]
    return k8s.core.v1.ContainerArgs(
        name="api-server",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["python3", "-m", "embedded.kfp", "--work", _RUNS, "--steps-socket", _SOCKET, *allowed],
        env=_environment(store),
        ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=KFP_PORT)],
        readiness_probe=http_probe(health, KFP_PORT, period=2, failures=5),
        liveness_probe=http_probe(health, KFP_PORT, failures=6),
        startup_probe=http_probe(health, KFP_PORT, period=2, failures=60),
        security_context=container_security_context(user=SERVER_USER),
        resources=resources(cpu="100m", memory="128Mi", memory_limit="1Gi"),
        volume_mounts=[
            Mount(name="data", mount_path="/data"),
            Mount(name="token", mount_path=_TOKEN_FOLDER, read_only=True),
            Mount(name="work", mount_path=_WORK),
            Mount(name="scratch", mount_path=SCRATCH),
            *_ca_mounts(store),
        ],
    )


def _steps(image: str, store: StoreHandle) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name="steps",
        image=image,
        image_pull_policy="IfNotPresent",
        # PID 1 of the container: steps can't kill or trace it, and they end with it.
        command=["python3", "-m", "embedded.kfp.steps", "--connect", _SOCKET, "--preload", _PRELOAD],
        env=_environment(store),
        security_context=container_security_context(user=STEPS_USER),
        # Training on 20 million rows of 10 numbers takes 3.3 GiB.
        resources=resources(cpu="100m", memory="256Mi", memory_limit="5Gi"),
        volume_mounts=[
            Mount(name="work", mount_path=_RUNS, sub_path="runs"),
            Mount(name="steps-scratch", mount_path=SCRATCH),
            *_ca_mounts(store),
        ],
    )


def _environment(store: StoreHandle) -> list[k8s.core.v1.EnvVarArgs]:
    """Return the store's endpoint and CA certificate for the server and its steps; contains no key.

    They are set here because a tenant's launcher configuration has no field for a CA certificate.
    """
    variables = {"HOME": SCRATCH, "OMP_NUM_THREADS": "1",
             "AWS_ENDPOINT_URL_S3": store.internal_endpoint, "AWS_DEFAULT_REGION": store.region}  # fmt: skip
    if store.ca_certificate is not None:
        variables["AWS_CA_BUNDLE"] = f"{_CA_FOLDER}/{CA_KEY}"
    return [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in variables.items()]


def _ca_mounts(store: StoreHandle) -> list[k8s.core.v1.VolumeMountArgs]:
    if store.ca_certificate is None:
        return []
    return [Mount(name="authority", mount_path=_CA_FOLDER, read_only=True)]


def _token() -> list[k8s.core.v1.VolumeProjectionArgs]:
    """Return the token volume that Kubernetes would otherwise mount into every container of the pod."""
    namespace = {"path": "namespace", "field_ref": {"api_version": "v1", "field_path": "metadata.namespace"}}
    return [
        k8s.core.v1.VolumeProjectionArgs(service_account_token={"path": "token", "expiration_seconds": 3607}),
        k8s.core.v1.VolumeProjectionArgs(
            config_map={"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
        ),
        k8s.core.v1.VolumeProjectionArgs(downward_api={"items": [namespace]}),
    ]
