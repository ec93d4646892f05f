"""Compiling and uploading pipelines, and listing a tenant's runs."""

from pathlib import Path

from infra.contract import PlatformOutputs
from pipelines import client, listing
from pipelines import compile as golden
from pipelines import upload as uploads
from pipelines.listing import Runs
from pipelines.upload import Uploaded


def write_compiled() -> list[Path]:
    """Compile every pipeline to pipelines/compiled; return the files."""
    return golden.write()


def check_compiled() -> None:
    """Refuse compiled pipelines that differ from the code; raises as `pipelines.compile.check`."""
    golden.check()


def upload(outputs: PlatformOutputs, tenant: str, pipeline: str) -> Uploaded:
    """Upload a pipeline for a tenant; raises as `pipelines.upload.upload`."""
    return uploads.upload(client.open_client(outputs, tenant), outputs, tenant, pipeline)


def newest_runs(outputs: PlatformOutputs, tenant: str, limit: int | None) -> Runs:
    """Return the tenant's newest runs, at most `limit` of them; all if it is None."""
    opened = client.open_client(outputs, tenant)
    return listing.newest_runs(opened, outputs.tenant(tenant).namespace, limit)


__all__ = ["Runs", "Uploaded", "check_compiled", "newest_runs", "upload", "write_compiled"]
