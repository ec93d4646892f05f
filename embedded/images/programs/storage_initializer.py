"""KServe's storage initializer, in the image `model-server`: downloads a model's folder into its pod.

    python3 storage_initializer.py SOURCE FOLDER

KServe's downloader calls HeadBucket before it lists the model's prefix. On AWS, HeadBucket requires the
permission to list the whole bucket, which would reveal all tenants; this program answers the call itself.
"""

import sys
from types import SimpleNamespace
from typing import Any


def main(arguments: list[str]) -> int:
    """Download `arguments[0]` into the folder `arguments[1]`; return the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: storage_initializer.py SOURCE FOLDER\n")
        return 2
    import boto3  # noqa: PLC0415 - takes a second, which a usage error should not wait for
    from kserve_storage import Storage, configure_logging  # noqa: PLC0415 - only in the image

    # The downloader creates its client from the default session.
    boto3.DEFAULT_SESSION = session = boto3.Session()
    session.events.register("before-call.s3.HeadBucket", _head_bucket_response)
    configure_logging()
    Storage.download(*arguments)
    return 0


def _head_bucket_response(**_: object) -> Any:  # noqa: ANN401 - botocore's stubs expect nothing back
    """A response for HeadBucket; botocore then does not send the request."""
    return SimpleNamespace(status_code=200), {}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
