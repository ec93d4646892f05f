"""Removing what a tenant's models no longer need, or a whole model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.contract import PlatformOutputs
from serving import access, service_check
from serving.cluster import Cluster
from slipway.core.report import Report, silent
from storage.registry.collection import CollectionOutcome, Collector, outcome
from storage.registry.model_deletion import Contents, ModelDeletion
from storage.registry.version_uses import Window

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def collect(
    outputs: PlatformOutputs,
    tenant: str,
    window: Window,
    *,
    model: str | None = None,
    delete: bool = False,
    report: Report = silent,
) -> list[CollectionOutcome]:
    """Delete the versions that nothing needs; without `delete`, only return which.

    Raises:
        UsageError: No such tenant.
        FailedError: The cluster can't be asked what is served, or the store failed.
    """
    _, collector = _collector(outputs, tenant)
    report("asking what is served, and reading aliases and logs")
    verdicts = collector.plan(window, model)
    if not delete:
        return [outcome(verdict, verdict.action, verdict.reasons) for verdict in verdicts]
    return collector.carry_out(verdicts, report)


def delete_model(
    outputs: PlatformOutputs,
    tenant: str,
    model: str,
    *,
    with_aliases: bool = False,
    delete: bool = False,
    report: Report = silent,
) -> tuple[Contents, list[CollectionOutcome]]:
    """Delete a model that nothing serves; without `delete`, only return what would be deleted.

    Raises:
        UsageError: No such tenant or model, or it may not be deleted; nothing was changed.
        FailedError: The cluster can't be asked what is served, or the store failed.
    """
    client, collector = _collector(outputs, tenant)
    deletion = ModelDeletion(client, outputs.store.models_bucket, tenant, collector)
    report("asking what is served, and reading aliases")
    contents = deletion.plan(model, with_aliases=with_aliases)
    if not delete:
        return contents, [outcome(each, each.action, each.reasons) for each in contents.verdicts]
    return contents, deletion.carry_out(contents, report)


def _collector(outputs: PlatformOutputs, tenant: str) -> tuple["S3Client", Collector]:
    """Return a store client with the collector's key, and a collector that uses it and asks the cluster."""
    namespace, bucket = outputs.tenant(tenant).namespace, outputs.store.models_bucket
    cluster = Cluster.of(outputs)

    def ask() -> Mapping[str, Mapping[str, str]]:
        services = [service_check.Service.of(isvc) for isvc in cluster.services(namespace)]
        return service_check.needed(services, bucket, tenant)

    client = access.open_store(outputs, tenant, "collector")
    return client, Collector(client, bucket, tenant, ask)


__all__ = ["CollectionOutcome", "Contents", "collect", "delete_model"]
