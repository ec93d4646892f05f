"""The compared clients, each in its own process: `python -m bench.contenders TASK`.

TASK is JSON. Prints the duration of the transfer without imports, and its peak memory.
"""

import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from storage.client import StoreAccess, open_store
from storage.keys import StoreKey

BUCKET = "bench"
REGION = "us-east-1"
BUFFER = 1 << 20


class Task(BaseModel):
    """A measurement: a client uploads or downloads `count` files of `size` bytes."""

    contender: str
    up: bool
    count: int
    size: int
    source: Path
    """Folder of the files, named 0, 1, …"""

    target: Path
    """Empty folder for downloads."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The store's URL."""
        return f"http://{self.host}:{self.port}"


def prepared(task: Task) -> Callable[[], object]:
    """Prepare a client; the returned function does the transfer."""
    match task.contender:
        case "Slipway" | "Slipway, SHA-256 known":
            return _slipway(task, known="SHA-256" in task.contender)
        case "boto3":
            return _boto3(task)
        case "minio":
            return _minio(task)
        case "awscrt":
            return _awscrt(task)
        case "boto3 by the CRT":
            return _boto3_crt(task)
    raise ValueError(task.contender)


def _key() -> StoreKey:
    return StoreKey.model_validate(
        {"access_key": os.environ["BENCH_ACCESS_KEY"], "secret_key": os.environ["BENCH_SECRET_KEY"]}
    )


def _slipway(task: Task, *, known: bool) -> Callable[[], object]:
    from storage.transfer.transfers import Download, Transfers, Upload  # noqa: PLC0415 - the memory of other clients is measured too

    transfers = Transfers(StoreAccess(endpoint=task.url, region=REGION, key=_key()))
    sums: list[str | None] = [None] * task.count
    if known:
        for number in range(task.count):
            with (task.source / str(number)).open("rb") as file:
                sums[number] = hashlib.file_digest(file, "sha256").hexdigest()
    if task.up:
        files = [Upload(task.source / str(n), str(n), sums[n]) for n in range(task.count)]
        return lambda: transfers.upload(BUCKET, files)
    back = [Download(str(n), task.target / str(n), task.size, sums[n]) for n in range(task.count)]
    return lambda: transfers.download(BUCKET, back)


def _boto3(task: Task) -> Callable[[], object]:
    client = open_store(StoreAccess(endpoint=task.url, region=REGION, key=_key()))

    def up() -> None:
        for number in range(task.count):
            client.upload_file(str(task.source / str(number)), BUCKET, str(number))

    def down() -> None:
        for number in range(task.count):
            client.download_file(BUCKET, str(number), str(task.target / str(number)))

    def put() -> None:
        for number in range(task.count):
            client.put_object(Bucket=BUCKET, Key=str(number), Body=(task.source / str(number)).read_bytes())

    def get() -> None:
        for number in range(task.count):
            content = client.get_object(Bucket=BUCKET, Key=str(number))["Body"].read()
            (task.target / str(number)).write_bytes(content)

    # For small objects, its transfer manager is slower than a loop: compare with the faster one.
    small = task.size < BUFFER
    return (put if small else up) if task.up else (get if small else down)


def _boto3_crt(task: Task) -> Callable[[], object]:
    from botocore.session import Session  # noqa: PLC0415
    from s3transfer import crt  # noqa: PLC0415

    key, session = _key(), Session()
    session.set_credentials(key.access_key, key.secret_key.get_secret_value())
    credentials = crt.BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = crt.create_s3_crt_client(
        REGION, credentials.to_crt_credentials_provider(), use_ssl=False, target_throughput=1_250_000_000
    )
    where = {"endpoint_url": task.url, "region_name": REGION}
    manager = crt.CRTTransferManager(client, crt.BotocoreCRTRequestSerializer(session, where))

    def go() -> None:
        futures = [
            manager.upload(str(task.source / str(number)), BUCKET, str(number))
            if task.up
            else manager.download(BUCKET, str(number), str(task.target / str(number)))
            for number in range(task.count)
        ]
        for future in futures:
            future.result()

    return go


def _minio(task: Task) -> Callable[[], object]:
    from minio import Minio  # noqa: PLC0415

    key = _key()
    client = Minio(
        f"{task.host}:{task.port}",
        access_key=key.access_key,
        secret_key=key.secret_key.get_secret_value(),
        region=REGION,
        secure=False,
    )

    def up() -> None:
        for number in range(task.count):
            client.fput_object(BUCKET, str(number), str(task.source / str(number)))

    def down() -> None:
        for number in range(task.count):
            client.fget_object(BUCKET, str(number), str(task.target / str(number)))

    return up if task.up else down


def _awscrt(task: Task) -> Callable[[], object]:
    from awscrt import auth, io, s3  # noqa: PLC0415
    from awscrt.http import HttpHeaders, HttpRequest  # noqa: PLC0415

    key, host = _key(), f"{task.host}:{task.port}"
    loops = io.EventLoopGroup()
    provider = auth.AwsCredentialsProvider.new_static(key.access_key, key.secret_key.get_secret_value())
    client = s3.S3Client(
        bootstrap=io.ClientBootstrap(loops, io.DefaultHostResolver(loops)),
        region=REGION,
        tls_mode=s3.S3RequestTlsMode.DISABLED,
        signing_config=s3.create_default_s3_signing_config(region=REGION, credential_provider=provider),
        throughput_target_gbps=10,
    )
    window = threading.Semaphore(64)
    crc = s3.S3ChecksumAlgorithm.CRC64NVME

    def start(number: int) -> Any:  # noqa: ANN401 - a type of awscrt
        window.acquire()
        headers = [("Host", host)] + [("Content-Length", str(task.size))] * task.up
        options: dict[str, Any] = (
            {
                "type": s3.S3RequestType.PUT_OBJECT,
                "send_filepath": str(task.source / str(number)),
                "checksum_config": s3.S3ChecksumConfig(algorithm=crc, location=s3.S3ChecksumLocation.TRAILER),
            }
            if task.up
            else {
                "type": s3.S3RequestType.GET_OBJECT,
                "recv_filepath": str(task.target / str(number)),
                "checksum_config": s3.S3ChecksumConfig(validate_response=True),
            }
        )
        verb = "PUT" if task.up else "GET"
        request = HttpRequest(verb, f"/{BUCKET}/{number}", HttpHeaders(headers))
        return client.make_request(request=request, on_done=lambda **_: window.release(), **options)

    def go() -> None:
        started = [start(number) for number in range(task.count)]
        for request in started:
            request.finished_future.result()

    return go


def _touch_memory(task: Task) -> None:
    """Allocate the page cache that the files will need.

    A virtual machine gets memory from its host at the first write, which can take longer than a transfer, and
    returns it some seconds after it is freed.
    """
    path = task.target / "memory"
    with path.open("wb") as file:
        zeros = bytes(BUFFER)
        for _ in range(0, task.count * task.size, BUFFER):
            file.write(zeros)
    path.unlink()


def _peak() -> int:
    """Peak memory of this process in bytes; the value of getrusage is inherited from the parent."""
    match = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(match[1]) << 10 if match else 0


def main() -> None:
    """Run one task and print its figures."""
    task = Task.model_validate_json(sys.argv[1])
    go = prepared(task)
    _touch_memory(task)
    before = os.times()
    started = time.monotonic()
    go()
    seconds = time.monotonic() - started
    after = os.times()
    figures = {
        "seconds": seconds,
        "processor": after.user + after.system - before.user - before.system,
        "memory": _peak(),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
