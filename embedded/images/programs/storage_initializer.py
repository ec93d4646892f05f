"""KServe's storage initializer, in the image `model-server`: downloads a model's folder into its pod.

    python3 storage_initializer.py SOURCE FOLDER

KServe's downloader asks for the bucket's head before it lists the model's prefix. On AWS that takes the
right to list the whole bucket, which would name every tenant; the question is answered here instead.
"""

import sys
from types import SimpleNamespace
from typing import Any


def main(arguments: list[str]) -> int:
    """Download `arguments[0]` into the folder `arguments[1]`; return the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: storage_initializer.py SOURCE FOLDER\n")
        return 2
    import boto3  # noqa: PLC0415 - a wrong call is refused without a second of imports
    from kserve_storage import Storage, configure_logging  # noqa: PLC0415 - in the image alone

    # The downloader opens its client in the default session.
    boto3.DEFAULT_SESSION = session = boto3.Session()
    session.events.register("before-call.s3.HeadBucket", _bucket_is_there)
    configure_logging()
    Storage.download(*arguments)
    return 0


def _bucket_is_there(**_: object) -> Any:  # noqa: ANN401 - botocore's stubs expect nothing back
    """Answer in place of the store; botocore then sends nothing."""
    return SimpleNamespace(status_code=200), {}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
