"""Declares the store of a stack: in the cluster, on AWS or external. Each kind returns the same handle."""

from pathlib import Path
from typing import Final

import pulumi

from infra.cluster.handle import ClusterHandle
from infra.names import PART_OF, STORE_CONSOLE_PORT, STORE_NAMESPACE, STORE_PORT, STORE_SERVICE
from infra.settings.config import Configuration
from infra.stores import outside
from infra.stores.handle import StoreHandle
from infra.stores.minio import MinioStore, MinioStoreArgs
from storage.settings import ExternalSettings, MinioSettings, S3Settings

_PROJECT: Final = Path(__file__).resolve().parents[2]


def create(configuration: Configuration, cluster: ClusterHandle, opts: pulumi.ResourceOptions) -> StoreHandle:
    """Declare the store that the settings name, with buckets, policies and a user for each role of a tenant.

    Args:
        configuration: The stack's configuration.
        cluster: The cluster of the store, or of the Job that administers it.
        opts: Resource options with the cluster's provider.

    Raises:
        UsageError: A package, a tenant or a certificate that the settings need is missing.
    """
    settings = configuration.platform.store
    match settings:
        case MinioSettings():
            return _minio(configuration, settings, cluster, opts)
        case S3Settings():
            return outside.on_aws(configuration, settings)
        case ExternalSettings():
            return outside.external(configuration, settings, cluster, _PROJECT, opts)


def _minio(
    configuration: Configuration,
    settings: MinioSettings,
    cluster: ClusterHandle,
    opts: pulumi.ResourceOptions,
) -> StoreHandle:
    images, endpoint = cluster.images, cluster.endpoints.store
    assert endpoint is not None, "the settings of a store in the cluster require it"
    return MinioStore(
        "store",
        MinioStoreArgs(
            settings=settings,
            tenants=tuple(tenant.store_tenant for tenant in configuration.tenants),
            secret=configuration.secret,
            namespace=STORE_NAMESPACE,
            service=STORE_SERVICE,
            port=STORE_PORT,
            endpoint=endpoint,
            console_endpoint=cluster.endpoints.console if settings.console else None,
            console_port=STORE_CONSOLE_PORT,
            # A cluster of the stack is deleted with its volumes; elsewhere they are protected by default.
            protect_volumes=settings.protect_volumes
            and configuration.platform.environment not in ("local", "kind"),
            labels=PART_OF,
            image=images.minio.reference,
            jobs_image=images.pipelines.reference,
            images_ready=images.minio.after(*images.pipelines.after()),
            login=cluster.login,
        ),
        opts,
    ).handle
