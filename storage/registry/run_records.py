"""Reading what a finished run left below the pipeline root.

Anyone who can write to the run's prefix can change a run's files. So their size is limited, they are
validated, and they must name the run.
"""

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from slipway.core.errors import FailedError, UsageError
from storage.client import split_uri, translated_errors
from storage.registry.candidate import Candidate, RunEvaluation, RunRecord

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_RECORD_BYTES: Final = 1 << 20
MAX_LISTED: Final = 10_000

R = TypeVar("R", bound=RunRecord)


def find_run(client: "S3Client", root: str, run_id: str, pipeline: str | None = None) -> str:
    """URI of the folder that a run wrote below the pipeline root, with a trailing slash.

    Raises:
        UsageError: The run wrote nothing there.
    """
    if not run_id or "/" in run_id or run_id in {".", ".."}:
        raise UsageError(f"{run_id!r} is not a run's id.")
    bucket, prefix = split_uri(root)
    prefix = prefix.rstrip("/") + "/"
    with translated_errors(f"list {root}"):
        if pipeline is None:
            folders = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
            pipelines = [str(entry.get("Prefix")) for entry in folders.get("CommonPrefixes", [])]
        else:
            pipelines = [f"{prefix}{pipeline}/"]
        for folder in pipelines:
            listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{folder}{run_id}/", MaxKeys=1)
            if listed.get("KeyCount"):
                return f"s3://{bucket}/{folder}{run_id}/"
    raise UsageError(
        f"Run {run_id} left nothing in the store.",
        why=f"There is no folder of it below {root}.",
        fix="Check the id and the tenant with `slipway pipeline list`.",
    )


def find_artifact(client: "S3Client", run_uri: str, name: str) -> str | None:
    """URI of the run's artifact called `name`, or None.

    Backends put artifacts at `<run>/<task path>/[<execution>/]<name>`: the depth differs, the name
    does not.
    """
    bucket, prefix = split_uri(run_uri)
    keys: list[str] = []
    with translated_errors(f"list {run_uri}"):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": MAX_LISTED}
        )
        for page in pages:
            keys += [entry["Key"] for entry in page.get("Contents", [])]
    matches = [key for key in keys if PurePosixPath(key).name == name]
    if len(matches) > 1:
        raise FailedError(
            f"The run has {len(matches)} artifacts called {name!r}.", why=", ".join(matches[:3])
        )
    return f"s3://{bucket}/{matches[0]}" if matches else None


def read_evaluation(client: "S3Client", run_uri: str) -> RunEvaluation | None:
    """The run's evaluation, or None where it has none."""
    uri = find_artifact(client, run_uri, "evaluation")
    return _read(client, uri, RunEvaluation) if uri else None


def read_candidate(client: "S3Client", run_uri: str) -> Candidate | None:
    """The run's candidate, or None where the gate did not let one through.

    Raises:
        FailedError: It is malformed, or names a run other than its own.
    """
    uri = find_artifact(client, run_uri, "candidate")
    if uri is None:
        return None
    candidate = _read(client, uri, Candidate)
    run_id = PurePosixPath(run_uri).name
    if candidate.run_id != run_id:
        raise FailedError(f"The candidate in run {run_id} names run {candidate.run_id}.")
    return candidate


def _read(client: "S3Client", uri: str, model: type[R]) -> R:
    bucket, key = split_uri(uri)
    with translated_errors(f"read {uri}"):
        answer = client.get_object(Bucket=bucket, Key=key)
        content = answer["Body"].read(MAX_RECORD_BYTES + 1)
    if len(content) > MAX_RECORD_BYTES:
        raise FailedError(
            f"{uri} is too large to be a record.", why=f"The limit is {MAX_RECORD_BYTES} bytes."
        )
    try:
        fields: Any = json.loads(content)
        return model.model_validate(fields)
    except (ValueError, RecursionError, ValidationError) as error:
        raise FailedError(
            f"{uri} is not a valid record.", why=_first(error), fix="Run the pipeline again."
        ) from error


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return str(error)
