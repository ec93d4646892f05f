"""Stores outside the cluster: on AWS, or wherever the operator has one."""

import ssl
from pathlib import Path
from typing import Final

import pulumi

from infra.cluster.handle import Image
from infra.names import EDITOR, PART_OF, RUNNER, SERVER, STORE_NAMESPACE
from infra.settings.config import Configuration
from infra.stores.external import ExternalStore, ExternalStoreArgs
from infra.stores.handle import StoreHandle
from slipway.core.errors import UsageError
from storage.keys import Role
from storage.settings import ExternalSettings, S3Settings

_ACCOUNTS: Final = {Role.RUNNER: RUNNER, Role.SERVER: SERVER, Role.EDITOR: EDITOR}
"""Which ServiceAccount of a tenant takes which role of the store."""


def on_aws(configuration: Configuration, settings: S3Settings) -> StoreHandle:
    """Declare buckets and roles on AWS.

    Raises:
        UsageError: The AWS provider's SDK is not installed, or a role is for no tenant.
    """
    try:
        from infra.stores.s3 import S3Store, S3StoreArgs  # noqa: PLC0415  # no other stack needs the SDK
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pulumi_aws":
            raise
        raise UsageError(
            "A store of kind 's3' needs the Python package pulumi-aws.",
            why="Only such stacks use it, so it is not installed with the others.",
            fix="Run: uv sync --extra aws",
        ) from error
    names = {tenant.name for tenant in configuration.tenants}
    for each in settings.people:
        if each.tenant not in names:
            raise UsageError(
                f"Pulumi.{configuration.stack}.yaml: store.people: {each.tenant!r} is no tenant.",
                fix=f"Declare it in tenants/{each.tenant}.yaml, or take the entry away.",
            )
    tenants = tuple(tenant.in_store for tenant in configuration.tenants)
    return S3Store("store", S3StoreArgs(settings=settings, tenants=tenants, accounts=_ACCOUNTS)).handle


def external(
    configuration: Configuration,
    settings: ExternalSettings,
    jobs: Image,
    project: Path,
    opts: pulumi.ResourceOptions,
) -> StoreHandle:
    """Declare the Job that tests a store elsewhere, and what is made there.

    Args:
        configuration: The stack's.
        settings: The store's.
        jobs: The image of Slipway's own Jobs.
        project: The folder that `ca_file` is in.
        opts: With the cluster's provider.

    Raises:
        UsageError: The authority's certificate is not there, or is none.
    """
    return ExternalStore(
        "store",
        ExternalStoreArgs(
            settings=settings,
            tenants=tuple(tenant.in_store for tenant in configuration.tenants),
            secret=configuration.secret,
            admin=configuration.operator.admin,
            operator_keys=configuration.operator.tenants,
            ca_certificate=_authority(settings, project),
            namespace=STORE_NAMESPACE,
            labels=PART_OF,
            jobs_image=jobs.reference,
            images_ready=jobs.after(),
        ),
        opts,
    ).handle


def _authority(settings: ExternalSettings, project: Path) -> str | None:
    if settings.ca_file is None:
        return None
    path = project / settings.ca_file
    try:
        pem = path.read_text()
        ssl.create_default_context(cadata=pem)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise UsageError(
            f"store.ca_file: {settings.ca_file} holds no certificate.",
            why=f"{type(error).__name__}.",
            fix="Give a PEM file with the authority that signed the store's certificate.",
        ) from None
    if not settings.endpoint.startswith("https://"):
        raise UsageError("store.ca_file: the endpoint speaks no TLS.", fix="Give an https:// endpoint.")
    return pem
