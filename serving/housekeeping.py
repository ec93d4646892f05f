"""Keeping a tenant's models in order: garbage goes, and what is served is checked."""

from collections.abc import Mapping

from infra.contract import PlatformOutputs
from serving import access, served
from serving.cluster import Cluster
from storage.collection import Collector, Outcome, outcome
from storage.needs import Window
from storage.report import Report, silent


def collect(
    outputs: PlatformOutputs,
    tenant: str,
    window: Window,
    *,
    model: str | None = None,
    delete: bool = False,
    report: Report = silent,
) -> list[Outcome]:
    """Delete the versions that nothing needs, or only say which.

    Raises:
        UsageError: No such tenant.
        FailedError: The cluster can't be asked what is served, or the store failed.
    """
    place, bucket = outputs.tenant(tenant), outputs.store.models_bucket
    cluster = Cluster.of(outputs)

    def ask() -> Mapping[str, Mapping[str, str]]:
        services = [served.Service.of(isvc) for isvc in cluster.services(place.namespace)]
        return served.needed(services, bucket, tenant)

    collector = Collector(access.open_store(outputs, tenant, "collector"), bucket, tenant, ask)
    report("asking what is served, and reading aliases and logs")
    verdicts = collector.plan(window, model)
    if not delete:
        return [outcome(verdict, verdict.action, verdict.reasons) for verdict in verdicts]
    return collector.carry_out(verdicts, report)


def check_served(outputs: PlatformOutputs, tenant: str, report: Report = silent) -> list[served.Checked]:
    """Check what every InferenceService of the tenant serves.

    Raises:
        UsageError: No such tenant.
        FailedError: The cluster can't be asked, or a Secret can't be read.
    """
    place = outputs.tenant(tenant)
    store = access.open_store(outputs, tenant, "editor")
    cluster = Cluster.of(outputs)
    return served.check_served(cluster, store, outputs.store.models_bucket, tenant, place.namespace, report)
