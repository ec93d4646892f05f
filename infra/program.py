"""Declares the platform, in the order in which data flows through it.

cluster -> owner -> gateway -> store -> parts of upstream -> serving, pipelines API -> tenants -> outputs
"""

from collections.abc import Sequence

import pulumi

from infra import cluster as clusters
from infra import versions
from infra.cluster.handle import ClusterHandle
from infra.components import upstream
from infra.components.gateway import Gateway, GatewayArgs
from infra.components.kfp import KubeflowPipelines, KubeflowPipelinesArgs
from infra.components.kserve.component import KServe, KServeArgs
from infra.components.load_balancers import LoadBalancedServices
from infra.components.node_ports import PublishedServices
from infra.components.platform_owner import PlatformOwner, PlatformOwnerArgs
from infra.components.routes import GatewayRoutes
from infra.components.tenant import Tenant, TenantArgs
from infra.components.token_lifetime import TokenLifetime
from infra.components.upstream import UpstreamArgs
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
    KFP_NAMESPACE,
    SERVING_RUNTIME,
    STORE_CA,
)
from infra.settings.config import Configuration
from infra.stores import choice as stores
from infra.stores.handle import StoreHandle
from infra.upstream import installed
from storage.settings import MinioSettings


def build(configuration: Configuration) -> PlatformOutputs:
    """Declare the whole platform and return the stack's outputs."""
    platform = configuration.platform
    cluster = clusters.connect(configuration)
    owner = PlatformOwner(
        "owner", PlatformOwnerArgs(stack=configuration.stack, secret=configuration.secret), _options(cluster)
    )
    gateway = Gateway(
        "gateway",
        GatewayArgs(
            image=cluster.images.gateway,
            login=cluster.login,
            connection=cluster.connection,
        ),
        _options(cluster, owner.record),
    )
    begun = _options(cluster, owner.record, *gateway.pulled)
    store = stores.create(configuration, cluster, begun)
    parts = upstream.install(
        "upstream",
        UpstreamArgs(
            names=installed.SERVING,
            cluster=cluster,
            secret=configuration.secret,
        ),
        begun,
    )
    kserve = KServe(
        "kserve",
        KServeArgs(
            settings=platform.serving,
            image=cluster.images.model_server,
            buckets=store.buckets,
            installed=parts.ready,
        ),
        begun,
    )
    kfp = KubeflowPipelines(
        "kfp",
        KubeflowPipelinesArgs(
            settings=platform.kfp,
            image=cluster.images.pipelines,
            login=cluster.login,
            store=store,
            endpoint=cluster.endpoints.kfp,
            namespace=parts.namespaces[KFP_NAMESPACE],
        ),
        begun,
    )
    tuning = (
        _tuning(
            configuration,
            cluster,
            owner.record,
            *gateway.pulled,
            parts.namespaces[KFP_NAMESPACE],
            *kfp.pulled,
        )
        if platform.katib.enabled
        else ()
    )
    if cluster.node_ports is not None:
        PublishedServices("node-ports", cluster.node_ports, _options(cluster, store.ready, kfp, gateway))
    if cluster.load_balancers is not None:
        LoadBalancedServices(
            "load-balancers", cluster.load_balancers, _options(cluster, store.ready, gateway)
        )
    if cluster.routes is not None:
        GatewayRoutes("routes", cluster.routes, _options(cluster, store.ready, gateway))
    tokens = TokenLifetime("token-lifetime", begun)
    tenants = {
        tenant.name: Tenant(
            f"tenant-{tenant.name}",
            TenantArgs(settings=tenant, store=store, login=cluster.login),
            # Deletion runs in the reverse order: a tenant's InferenceServices go while KServe still runs.
            _options(cluster, store.ready, kserve, kfp, gateway, tokens, *tuning),
        ).outputs
        for tenant in configuration.tenants
    }
    return _outputs(configuration, cluster, store, kfp, tenants)


def _tuning(
    configuration: Configuration, cluster: ClusterHandle, *after: pulumi.Resource
) -> Sequence[pulumi.Resource]:
    """Install Katib beside the rest, which doesn't wait until it is ready; return its objects.

    The pipelines API makes the Secret of the registry in the namespace that they share.
    """
    args = UpstreamArgs(
        names=installed.TUNING,
        cluster=cluster,
        secret=configuration.secret,
    )
    return upstream.install("katib", args, _options(cluster, *after)).applied


def _options(cluster: ClusterHandle, *after: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(providers=[cluster.provider], depends_on=[*after])


def _outputs(
    configuration: Configuration,
    cluster: ClusterHandle,
    store: StoreHandle,
    kfp: KubeflowPipelines,
    tenants: dict[str, TenantOutputs],
) -> PlatformOutputs:
    settings = configuration.platform.store
    minio = settings if isinstance(settings, MinioSettings) else None
    return PlatformOutputs(
        contract_version=CONTRACT_VERSION,
        stack=configuration.stack,
        environment=configuration.platform.environment,
        kubeconfig=None if cluster.kubeconfig is None else str(cluster.kubeconfig),
        context=cluster.context,
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
            root_key_generation=minio.root_key_generation if minio else None,
            certificate_generation=minio.certificate_generation if minio else None,
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
