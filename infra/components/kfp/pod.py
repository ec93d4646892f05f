"""The pod of the pipelines API: the server and its steps in two containers, under two users.

Steps are code that tenants wrote. The server's container alone has the volume with the database and the token
of the ServiceAccount, with which each tenant's store key is read. Both containers have the folder that steps
work in; the server owns it, so that a step can write below its own folder and nowhere above. Steps share a
container, a user and the pod's network with the steps of other tenants that run at the same time.
"""

from typing import Final
from urllib.parse import urlsplit

import pulumi_kubernetes as k8s

from infra.names import KFP_NAMESPACE, KFP_PORT, KFP_SERVICE, KFP_SERVICE_ACCOUNT, STORE_CA
from infra.pod_defaults import SCRATCH, confined, confined_pod, http_probe, resources
from infra.stores.handle import StoreHandle

SERVER_USER: Final = 65532
"""The user and group of our images; the volumes are given to the group."""
STEPS_USER: Final = 65533

_AUTHORITY_FOLDER: Final = "/etc/slipway-ca"
_TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_WORK: Final = "/work"
_RUNS: Final = f"{_WORK}/runs"
_SOCKET: Final = f"{_RUNS}/steps.sock"
_PRELOAD: Final = "pandas,pyarrow.parquet,sklearn.ensemble,skl2onnx"
"""What most steps import: loaded once, about 230 MiB that all steps share.

Not onnxruntime: it starts a thread when it is imported, and a fork takes no threads along.
"""

Mount = k8s.core.v1.VolumeMountArgs
Volume = k8s.core.v1.VolumeArgs


def pod(image: str, store: StoreHandle, endpoint: str) -> k8s.core.v1.PodSpecArgs:
    """Return the pod; `endpoint` is the URL by which it is reached from outside the cluster."""
    return k8s.core.v1.PodSpecArgs(
        service_account_name=KFP_SERVICE_ACCOUNT,
        automount_service_account_token=False,
        security_context=confined_pod(volume_group=SERVER_USER),
        # Steps of running pipelines are told to stop before the server is.
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
    """Return the names by which clients reach the API, besides localhost and its address."""
    forms = [KFP_SERVICE, f"{KFP_SERVICE}.{KFP_NAMESPACE}", f"{KFP_SERVICE}.{KFP_NAMESPACE}.svc",
             f"{KFP_SERVICE}.{KFP_NAMESPACE}.svc.cluster.local"]  # fmt: skip
    published = urlsplit(endpoint).hostname
    return forms if published is None else [*forms, published]


def _folders(image: str) -> k8s.core.v1.ContainerArgs:
    """Make the folder of runs before the steps' container mounts it: the server's, closed to writing."""
    return k8s.core.v1.ContainerArgs(
        name="folders",
        image=image,
        image_pull_policy="IfNotPresent",
        command=["mkdir", "-p", "-m", "2750", _RUNS],
        security_context=confined(user=SERVER_USER),
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
        security_context=confined(user=SERVER_USER),
        resources=resources(cpu="100m", memory="128Mi", memory_limit="1Gi"),
        volume_mounts=[
            Mount(name="data", mount_path="/data"),
            Mount(name="token", mount_path=_TOKEN_FOLDER, read_only=True),
            Mount(name="work", mount_path=_WORK),
            Mount(name="scratch", mount_path=SCRATCH),
            *_authority(store),
        ],
    )


def _steps(image: str, store: StoreHandle) -> k8s.core.v1.ContainerArgs:
    return k8s.core.v1.ContainerArgs(
        name="steps",
        image=image,
        image_pull_policy="IfNotPresent",
        # As the container's first process, which no step can kill or trace, and which outlives none of them.
        command=["python3", "-m", "embedded.kfp.steps", "--connect", _SOCKET, "--preload", _PRELOAD],
        env=_environment(store),
        security_context=confined(user=STEPS_USER),
        # Training on 20 million rows of 10 numbers takes 3.3 GiB.
        resources=resources(cpu="100m", memory="256Mi", memory_limit="5Gi"),
        volume_mounts=[
            Mount(name="work", mount_path=_RUNS, sub_path="runs"),
            Mount(name="steps-scratch", mount_path=SCRATCH),
            *_authority(store),
        ],
    )


def _environment(store: StoreHandle) -> list[k8s.core.v1.EnvVarArgs]:
    """Return where the store is and whom to trust, for the server and its steps; no key is among it.

    A tenant's launcher configuration has no field for a CA certificate.
    """
    known = {"HOME": SCRATCH, "OMP_NUM_THREADS": "1",
             "AWS_ENDPOINT_URL_S3": store.internal_endpoint, "AWS_DEFAULT_REGION": store.region}  # fmt: skip
    if store.ca_certificate is not None:
        known["AWS_CA_BUNDLE"] = f"{_AUTHORITY_FOLDER}/ca.crt"
    return [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in known.items()]


def _authority(store: StoreHandle) -> list[k8s.core.v1.VolumeMountArgs]:
    if store.ca_certificate is None:
        return []
    return [Mount(name="authority", mount_path=_AUTHORITY_FOLDER, read_only=True)]


def _token() -> list[k8s.core.v1.VolumeProjectionArgs]:
    """Return what Kubernetes would mount into every container of the pod by itself."""
    namespace = {"path": "namespace", "field_ref": {"api_version": "v1", "field_path": "metadata.namespace"}}
    return [
        k8s.core.v1.VolumeProjectionArgs(service_account_token={"path": "token", "expiration_seconds": 3607}),
        k8s.core.v1.VolumeProjectionArgs(
            config_map={"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
        ),
        k8s.core.v1.VolumeProjectionArgs(downward_api={"items": [namespace]}),
    ]
