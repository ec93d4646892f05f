"""Compares what a tenant's InferenceServices serve with the registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from serving.inference import DIGEST
from slipway.core.errors import FailedError, SlipwayError
from slipway.core.report import Report, silent
from storage.client import split_uri
from storage.layout import VersionKey, read_version_key, version_prefix
from storage.lifecycle import require_kept
from storage.registry.registry import Registry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Listing(Protocol):
    """What this module needs of a cluster; `serving.cluster.Cluster` in production."""

    def services(self, namespace: str) -> list[dict[str, Any]]:
        """Return the InferenceServices of a namespace."""


@dataclass(frozen=True)
class Service:
    """An InferenceService: its name, the URI that it loads, and the digest in its annotation."""

    name: str
    uri: str | None
    digest: str | None

    @classmethod
    def of(cls, isvc: Mapping[str, Any]) -> "Service":
        """Read name, URI and digest of an InferenceService."""
        metadata = isvc["metadata"]
        model = isvc.get("spec", {}).get("predictor", {}).get("model", {})
        return cls(metadata["name"], model.get("storageUri"), metadata.get("annotations", {}).get(DIGEST))

    @property
    def place(self) -> tuple[str, str]:
        """Bucket and key of what it loads; both empty if that is not in an S3 store but, say, in a volume."""
        return split_uri(self.uri) if self.uri and self.uri.startswith("s3://") else ("", "")

    def version(self, bucket: str, tenant: str) -> VersionKey | None:
        """Return the version that it loads; None if it is not one of the tenant's."""
        loaded_bucket, key = self.place
        version = read_version_key(key.rstrip("/"))
        if version is None:
            return None
        ours = (loaded_bucket, version.tenant, version.path) == (bucket, tenant, "files")
        return version if ours else None


def needed(services: Sequence[Service], bucket: str, tenant: str) -> dict[str, dict[str, str]]:
    """Return the versions that the services need: by model, the digest by service.

    Raises:
        FailedError: One loads something from the models bucket that is not a version.
    """
    digests: dict[str, dict[str, str]] = {}
    for service in services:
        version = service.version(bucket, tenant)
        if version is not None:
            digests.setdefault(version.model, {})[service.name] = version.digest
        elif service.place[0] == bucket:
            raise FailedError(
                f"Nothing is collected: InferenceService {service.name} serves what is no version.",
                why=f"It loads {service.uri}.",
                fix="Delete it, or promote a run to it.",
            )
        if service.digest is not None:
            digests.setdefault(service.name, {})[f"{service.name} (annotation)"] = service.digest
    return digests


@dataclass(frozen=True)
class Checked:
    """The result of one check; `problem` is empty if it passed."""

    service: str | None
    model: str
    digest: str | None
    problem: str


def check_version(registry: Registry, model: str, digest: str, service: str | None = None) -> Checked:
    """Read a version back and hash it."""
    try:
        registry.verify(model, digest)
    except SlipwayError as error:
        return Checked(service, model, digest, str(error))
    return Checked(service, model, digest, "")


def check_served(
    cluster: Listing, client: "S3Client", bucket: str, tenant: str, namespace: str, report: Report = silent
) -> list[Checked]:
    """Check what every InferenceService of the tenant serves: its owner, its expiry and every byte.

    Raises:
        FailedError: The cluster can't be reached.
    """
    registry = Registry(client, bucket, tenant)
    services = [Service.of(isvc) for isvc in cluster.services(namespace)]
    return [_check(service, registry, client, bucket, tenant, report) for service in services]


def _check(
    service: Service, registry: Registry, client: "S3Client", bucket: str, tenant: str, report: Report
) -> Checked:
    version = service.version(bucket, tenant)
    if version is None:
        problem = f"{service.uri or 'Nothing'} is no version below s3://{bucket}/{tenant}/."
        return Checked(service.name, service.name, service.digest, problem)
    if version.digest != service.digest:
        problem = f"It loads {version.digest[:12]}, but says that it is {(service.digest or 'nothing')[:12]}."
        return Checked(service.name, version.model, version.digest, problem)
    report(f"{service.name}: reading {version.digest[:12]} back")
    try:
        require_kept(client, f"s3://{bucket}/{version_prefix(tenant, version.model, version.digest)}")
    except SlipwayError as error:
        return Checked(service.name, version.model, version.digest, str(error))
    return check_version(registry, version.model, version.digest, service.name)
