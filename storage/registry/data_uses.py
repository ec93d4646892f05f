"""What a tenant's data is needed for: the versions that were made from it, and candidates of runs.

Promotion reads the data again to evaluate a candidate, and later to compare its version with the
next one. The lineage of a model names its data.
"""

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.core.parallel import in_parallel
from storage.client import split_uri, translated_errors
from storage.registry.model_files import listing
from storage.registry.registry import Registry
from storage.registry.run_records import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def needed_data(client: "S3Client", registry: Registry, pipeline_root: str) -> dict[str, list[str]]:
    """Return what needs each file of data, by its URI.

    A file that is called `candidate` but is not one can't be promoted, so it needs nothing.

    Raises:
        FailedError: The registry or a run can't be read, so what is needed is unknown.
    """
    uses: dict[str, list[str]] = {}
    for model in registry.list_models():
        digests = set(registry.list_versions(model))
        for digest in sorted(digests):
            lineage = registry.show(model, digest).lineage
            if lineage is not None:
                uses.setdefault(lineage.data_uri, []).append(f"version {digest[:12]} of {model}")
        for entry in registry.history(model):
            uri = entry.details.candidate.data_uri
            if uri and entry.digest in digests:
                uses.setdefault(uri, []).append(f"log entry {entry.number} of {model}")
    for run_id, uri in _candidates(client, pipeline_root):
        uses.setdefault(uri, []).append(f"the candidate of run {run_id}")
    return uses


def _candidates(client: "S3Client", pipeline_root: str) -> list[tuple[str, str]]:
    """Run and data URI of every candidate below the pipeline root: `<pipeline>/<run>/…/candidate`."""
    bucket, root = split_uri(pipeline_root.rstrip("/") + "/")
    paths = [PurePosixPath(path) for path in listing(client, bucket, root)]
    candidates = [path for path in paths if path.name == "candidate" and len(path.parts) > 2]

    def read(path: PurePosixPath) -> tuple[str, str] | None:
        key = f"{root}{path}"
        with translated_errors(f"read {key}"):
            content = client.get_object(Bucket=bucket, Key=key)["Body"].read(MAX_RECORD_BYTES + 1)
        try:
            uri = json.loads(content)["data_uri"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return (path.parts[1], uri) if isinstance(uri, str) else None

    return [each for each in in_parallel(read, candidates) if each is not None]
