"""Stores outside the cluster: on AWS, or an external one."""

import ssl
from pathlib import Path
from typing import Final

import pulumi

from infra.cluster.handle import ClusterHandle
from infra.names import EDITOR, PART_OF, RUNNER, SERVER, STORE_NAMESPACE, settings_file
from infra.settings.config import Configuration
from infra.stores.external import ExternalStore, ExternalStoreArgs
from infra.stores.handle import StoreHandle
from slipway.core.errors import UsageError
from storage.keys import StoreRole
from storage.settings import ExternalSettings, S3Settings

_ACCOUNTS: Final = {StoreRole.RUNNER: RUNNER, StoreRole.SERVER: SERVER, StoreRole.EDITOR: EDITOR}
"""Role in the store -> ServiceAccount of the tenant that has it."""


def on_aws(configuration: Configuration, settings: S3Settings) -> StoreHandle:
    """Declare buckets and roles on AWS.

    Raises:
        UsageError: The AWS provider's SDK is not installed, or `people` names an unknown tenant.
    """
    try:
        from infra.stores.s3 import S3Store, S3StoreArgs  # noqa: PLC0415  # no other stack needs the SDK
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pulumi_aws":
            raise
        raise UsageError(
            "A store of kind 's3' needs the Python package pulumi-aws.",
            why="Only such stacks use it, so it is not installed by default.",
            fix="Run: uv sync --extra aws",
        ) from error
    names = {tenant.name for tenant in configuration.tenants}
    for each in settings.people:
        if each.tenant not in names:
            raise UsageError(
                f"{settings_file(configuration.stack)}: store.people: unknown tenant {each.tenant!r}.",
                fix=f"Declare it in tenants/{each.tenant}.yaml, or remove the entry.",
            )
    tenants = tuple(tenant.store_tenant for tenant in configuration.tenants)
    return S3Store("store", S3StoreArgs(settings=settings, tenants=tenants, accounts=_ACCOUNTS)).handle


def external(
    configuration: Configuration,
    settings: ExternalSettings,
    cluster: ClusterHandle,
    project: Path,
    opts: pulumi.ResourceOptions,
) -> StoreHandle:
    """Declare the Job that verifies an external store, and what it creates there.

    Args:
        configuration: The stack's configuration.
        settings: The store's settings.
        cluster: The cluster of the Job.
        project: The folder that `ca_file` is relative to.
        opts: Resource options with the cluster's provider.

    Raises:
        UsageError: The file with the CA certificate is missing or invalid.
    """
    return ExternalStore(
        "store",
        ExternalStoreArgs(
            settings=settings,
            tenants=tuple(tenant.store_tenant for tenant in configuration.tenants),
            secret=configuration.secret,
            admin=configuration.operator.admin,
            operator_keys=configuration.operator.tenants,
            ca_certificate=_ca_certificate(settings, project),
            namespace=STORE_NAMESPACE,
            labels=PART_OF,
            jobs_image=cluster.images.pipelines.reference,
            images_ready=cluster.images.pipelines.after(),
            login=cluster.login,
        ),
        opts,
    ).handle


def _ca_certificate(settings: ExternalSettings, project: Path) -> str | None:
    if settings.ca_file is None:
        return None
    path = project / settings.ca_file
    try:
        pem = path.read_text()
        ssl.create_default_context(cadata=pem)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise UsageError(
            f"store.ca_file: {settings.ca_file} does not contain a PEM certificate.",
            why=f"{type(error).__name__}.",
            fix="Set it to a PEM file with the CA certificate of the store.",
        ) from None
    if not settings.endpoint.startswith("https://"):
        raise UsageError("store.ca_file: the endpoint does not use TLS.", fix="Set an https:// endpoint.")
    return pem
