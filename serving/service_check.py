"""What a tenant's InferenceServices serve, held against the registry."""

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
    """What this asks of a cluster; `serving.cluster.Cluster` in earnest."""

    def services(self, namespace: str) -> list[dict[str, Any]]:
        """The InferenceServices of a namespace."""


@dataclass(frozen=True)
class Service:
    """An InferenceService: its name, what it loads, and which version it says that is."""

    name: str
    uri: str | None
    digest: str | None

    @classmethod
    def of(cls, isvc: Mapping[str, Any]) -> "Service":
        """Read what matters of an InferenceService."""
        metadata = isvc["metadata"]
        model = isvc.get("spec", {}).get("predictor", {}).get("model", {})
        return cls(metadata["name"], model.get("storageUri"), metadata.get("annotations", {}).get(DIGEST))

    @property
    def place(self) -> tuple[str, str]:
        """Bucket and key of what it loads; both empty where that lies in no S3 store, such as in a volume."""
        return split_uri(self.uri) if self.uri and self.uri.startswith("s3://") else ("", "")

    def version(self, bucket: str, tenant: str) -> VersionKey | None:
        """The version that it loads; None where that is not one of the tenant's."""
        found, key = self.place
        version = read_version_key(key.rstrip("/"))
        ours = version is not None and (found, version.tenant, version.path) == (bucket, tenant, "files")
        return version if ours else None


def needed(services: Sequence[Service], bucket: str, tenant: str) -> dict[str, dict[str, str]]:
    """Return what the services need: by model, the digest by service.

    Raises:
        FailedError: One loads from the models bucket and no version: nobody can say what it needs.
    """
    found: dict[str, dict[str, str]] = {}
    for service in services:
        version = service.version(bucket, tenant)
        if version is not None:
            found.setdefault(version.model, {})[service.name] = version.digest
        elif service.place[0] == bucket:
            raise FailedError(
                f"Nothing is collected: InferenceService {service.name} serves what is no version.",
                why=f"It loads {service.uri}.",
                fix="Delete it, or promote a run to it.",
            )
        if service.digest is not None:
            found.setdefault(service.name, {})[f"{service.name} (annotation)"] = service.digest
    return found


@dataclass(frozen=True)
class Checked:
    """What came of one check; `problem` is empty where all is well."""

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
    """Check what every InferenceService of the tenant serves: whose it is, that it stays, every byte.

    Raises:
        FailedError: The cluster can't be asked.
    """
    registry = Registry(client, bucket, tenant)
    services = [Service.of(isvc) for isvc in cluster.services(namespace)]
    return [_check(service, registry, client, bucket, tenant, report) for service in services]


def _check(
    service: Service, registry: Registry, client: "S3Client", bucket: str, tenant: str, report: Report
) -> Checked:
    version = service.version(bucket, tenant)
    if version is None:
        told = f"{service.uri or 'Nothing'} is no version below s3://{bucket}/{tenant}/."
        return Checked(service.name, service.name, service.digest, told)
    if version.digest != service.digest:
        told = f"It loads {version.digest[:12]}, but says that it is {(service.digest or 'nothing')[:12]}."
        return Checked(service.name, version.model, version.digest, told)
    report(f"{service.name}: reading {version.digest[:12]} back")
    try:
        require_kept(client, f"s3://{bucket}/{version_prefix(tenant, version.model, version.digest)}")
    except SlipwayError as error:
        return Checked(service.name, version.model, version.digest, str(error))
    return check_version(registry, version.model, version.digest, service.name)
