"""Reads versions back from the store and checks them, by name or as they are served."""

from infra.contract import PlatformOutputs
from serving import access, service_check
from serving.cluster import Cluster
from serving.service_check import Checked
from slipway.core.report import Report, silent
from slipway.operations.model_registry import digest_of, known_digests, open_registry
from storage.registry.version_files import SHORT_DIGEST


def verify_model(
    outputs: PlatformOutputs,
    tenant: str,
    model: str,
    version: str | None = None,
    *,
    every: bool = False,
    report: Report = silent,
) -> list[Checked]:
    """Read a version of a model back and hash every byte; with `every`, all versions.

    `version` is the first digits of its digest; the champion is read by default.

    Raises:
        UsageError: No such tenant, model or version.
    """
    registry = open_registry(outputs, tenant)
    digests = known_digests(registry, model) if every else [digest_of(registry, model, version)]
    checks = []
    for digest in digests:
        report(f"reading {digest[:SHORT_DIGEST]} back")
        checks.append(service_check.check_version(registry, model, digest))
    return checks


def verify_served(outputs: PlatformOutputs, tenant: str, report: Report = silent) -> list[Checked]:
    """Check what every InferenceService of the tenant serves.

    Raises:
        UsageError: No such tenant.
        FailedError: The cluster can't be reached, or a Secret can't be read.
    """
    place = outputs.tenant(tenant)
    store = access.open_store(outputs, tenant, "editor")
    cluster = Cluster.of(outputs)
    return service_check.check_served(
        cluster, store, outputs.store.models_bucket, tenant, place.namespace, report
    )


__all__ = ["Checked", "verify_model", "verify_served"]
