"""Upload, download, list and delete a tenant's data in the store."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.contract import PlatformOutputs
from serving import access
from slipway.core.report import Report, silent
from storage.registry import data_uses
from storage.registry.registry import Registry
from storage.tenant_data import TenantData
from storage.transfer.running import Progress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def upload(
    outputs: PlatformOutputs, tenant: str, source: Path, prefix: str, progress: Progress
) -> tuple[int, int]:
    """Upload a file or a folder; return files and bytes; raises as `TenantData.upload`."""
    return _data(outputs, tenant).upload(source, prefix, progress)


def download(
    outputs: PlatformOutputs, tenant: str, folder: Path, prefix: str, progress: Progress
) -> tuple[int, int]:
    """Download a folder of the data; return files and bytes; raises as `TenantData.download`."""
    return _data(outputs, tenant).download(folder, prefix, progress)


def list_files(outputs: PlatformOutputs, tenant: str, prefix: str) -> dict[str, int]:
    """Return the size in bytes of each file in a folder of the data, by its path relative to the folder."""
    return _data(outputs, tenant).list_files(prefix)


def delete(
    outputs: PlatformOutputs, tenant: str, path: str, *, delete: bool, report: Report = silent
) -> dict[str, int]:
    """Delete data that no version and no candidate needs; without `delete`, only return its files.

    Returns:
        Size in bytes of each file, by its path.

    Raises:
        UsageError: Something needs it, or there is none; nothing was deleted.
        FailedError: It can't be determined what needs it.
    """
    report("reading the registry and the candidates of runs")

    def needed(client: "S3Client") -> Mapping[str, Sequence[str]]:
        registry = Registry(client, outputs.store.models_bucket, tenant)
        return data_uses.needed_data(client, registry, outputs.tenant(tenant).pipeline_root)

    return dict(_data(outputs, tenant).delete(path, needed, delete=delete))


def _data(outputs: PlatformOutputs, tenant: str) -> TenantData:
    return TenantData(access.store_access(outputs, tenant, "editor"), outputs.store.data_bucket, tenant)


__all__ = ["Progress", "delete", "download", "list_files", "upload"]
