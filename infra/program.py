"""The platform, in the order in which data flows through it.

cluster -> store -> KServe, pipelines API, gateway -> tenants -> outputs
"""

from pathlib import Path
from typing import Final

import pulumi

from infra import cluster as clusters
from infra import versions
from infra.cluster.handle import ClusterHandle
from infra.components.gateway import Gateway, GatewayArgs
from infra.components.kfp import KubeflowPipelines, KubeflowPipelinesArgs
from infra.components.kserve.component import KServe, KServeArgs
from infra.components.tenant import Tenant, TenantArgs
from infra.components.token_lifetime import TokenLifetime
from infra.contract import (
    CONTRACT_VERSION,
    ImageOutputs,
    KfpOutputs,
    PlatformOutputs,
    ServingOutputs,
    StoreOutputs,
    TenantOutputs,
)
from infra.names import (
    PART_OF,
    SERVING_RUNTIME,
    STORE_CA,
    STORE_CONSOLE_PORT,
    STORE_NAMESPACE,
    STORE_PORT,
    STORE_SERVICE,
)
from infra.settings.config import Configuration
from infra.stores import outside
from infra.stores.handle import StoreHandle
from infra.stores.minio import MinioStore, MinioStoreArgs
from storage.settings import ExternalSettings, MinioSettings, S3Settings

_PROJECT: Final = Path(__file__).resolve().parents[1]


def build(configuration: Configuration) -> PlatformOutputs:
    """Declare the whole platform and return what the stack tells the outside."""
    platform = configuration.platform
    cluster = clusters.connect(platform)
    store = _store(configuration, cluster)
    kserve = KServe(
        "kserve",
        KServeArgs(
            settings=platform.serving,
            images=cluster.images,
            manifests=cluster.kserve_manifests,
            buckets=store.buckets,
        ),
        _on(cluster),
    )
    kfp = KubeflowPipelines(
        "kfp",
        KubeflowPipelinesArgs(
            settings=platform.kfp,
            image=cluster.images.pipelines,
            store=store,
            endpoint=cluster.endpoints.kfp,
        ),
        _on(cluster),
    )
    gateway = Gateway("gateway", GatewayArgs(image=cluster.images.gateway), _on(cluster))
    tokens = TokenLifetime("token-lifetime", _on(cluster))
    tenants = {
        tenant.name: Tenant(
            f"tenant-{tenant.name}",
            TenantArgs(settings=tenant, store=store),
            # Taken away in the reverse order: a tenant's InferenceServices while KServe still runs.
            _on(cluster, store.ready, kserve, kfp, gateway, tokens),
        ).outputs
        for tenant in configuration.tenants
    }
    return _outputs(configuration, cluster, store, kfp, tenants)


def _on(cluster: ClusterHandle, *after: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(providers=[cluster.provider], depends_on=[*after])


def _store(configuration: Configuration, cluster: ClusterHandle) -> StoreHandle:
    settings = configuration.platform.store
    match settings:
        case MinioSettings():
            return _minio(configuration, settings, cluster)
        case S3Settings():
            return outside.on_aws(configuration, settings)
        case ExternalSettings():
            return outside.external(configuration, settings, cluster.images.pipelines, _PROJECT, _on(cluster))


def _minio(configuration: Configuration, settings: MinioSettings, cluster: ClusterHandle) -> StoreHandle:
    images = cluster.images
    return MinioStore(
        "store",
        MinioStoreArgs(
            settings=settings,
            tenants=tuple(tenant.in_store for tenant in configuration.tenants),
            secret=configuration.secret,
            namespace=STORE_NAMESPACE,
            service=STORE_SERVICE,
            port=STORE_PORT,
            endpoint=cluster.endpoints.store,
            console_endpoint=cluster.endpoints.console if settings.console else None,
            console_port=STORE_CONSOLE_PORT,
            # What `local` made goes with its cluster; anywhere else data outlives a mistake.
            protect_volumes=settings.protect_volumes and configuration.platform.environment != "local",
            labels=PART_OF,
            image=images.minio.reference,
            jobs_image=images.pipelines.reference,
            images_ready=images.minio.after(*images.pipelines.after()),
        ),
        _on(cluster),
    ).handle


def _outputs(
    configuration: Configuration,
    cluster: ClusterHandle,
    store: StoreHandle,
    kfp: KubeflowPipelines,
    tenants: dict[str, TenantOutputs],
) -> PlatformOutputs:
    said = configuration.platform.store
    own = said if isinstance(said, MinioSettings) else None
    return PlatformOutputs(
        contract_version=CONTRACT_VERSION,
        stack=configuration.stack,
        environment=configuration.platform.environment,
        kubeconfig=None if cluster.kubeconfig is None else str(cluster.kubeconfig),
        kfp=KfpOutputs(
            endpoint=cluster.endpoints.kfp,
            internal_endpoint=kfp.internal_endpoint,
            auth_mode="none",
            audience=None,
            backend=configuration.platform.kfp.kind,
        ),
        store=StoreOutputs(
            kind=store.kind,
            endpoint=store.endpoint,
            internal_endpoint=store.internal_endpoint,
            region=store.region,
            tls=store.tls,
            path_style=store.path_style,
            ca_config_map=STORE_CA if store.ca_certificate is not None else None,
            keyless=store.keyless,
            root_key_generation=own.root_key_generation if own else None,
            certificate_generation=own.certificate_generation if own else None,
            artifacts_bucket=store.buckets.artifacts,
            models_bucket=store.buckets.models,
            data_bucket=store.buckets.data,
        ),
        serving=ServingOutputs(
            mode=configuration.platform.serving.mode,
            endpoint=cluster.endpoints.gateway,
            runtime=SERVING_RUNTIME,
            model_cpu=configuration.platform.serving.model_cpu,
            model_memory=configuration.platform.serving.model_memory,
        ),
        images=ImageOutputs(steps=cluster.images.pipelines.reference),
        versions=versions.components(),
        tenants=tenants,
    )
