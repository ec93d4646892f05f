"""The store of a stack: in the cluster, on AWS or elsewhere. Each kind gives the same handle."""

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
        configuration: The stack's.
        cluster: Where the store, or the Job that administers it, runs.
        opts: With the cluster's provider.

    Raises:
        UsageError: The settings ask for what this machine or the store does not have.
    """
    settings = configuration.platform.store
    match settings:
        case MinioSettings():
            return _minio(configuration, settings, cluster, opts)
        case S3Settings():
            return outside.on_aws(configuration, settings)
        case ExternalSettings():
            return outside.external(configuration, settings, cluster.images.pipelines, _PROJECT, opts)


def _minio(
    configuration: Configuration,
    settings: MinioSettings,
    cluster: ClusterHandle,
    opts: pulumi.ResourceOptions,
) -> StoreHandle:
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
        opts,
    ).handle
