"""The clients that are compared, each in a process of its own: `python -m bench.contenders TASK`.

TASK is JSON. Prints the seconds of the transfer alone, without imports, and the peak of its memory.
"""

import hashlib
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from storage.client import StoreAccess, open_store
from storage.keys import StoreKey
from storage.transfer.signing import UNSIGNED, Credentials, signed_headers

BUCKET = "bench"
REGION = "us-east-1"
BUFFER = 1 << 20


class Task(BaseModel):
    """One measurement: a client moves `count` files of `size` bytes one way."""

    contender: str
    up: bool
    count: int
    size: int
    source: Path
    """Folder of the files, named 0, 1, …"""

    target: Path
    """Folder for what is read back; empty."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The store's."""
        return f"http://{self.host}:{self.port}"


def prepared(task: Task) -> Callable[[], object]:
    """Make a contender ready; the function returned does the transfer."""
    name, _, connections = task.contender.partition(" x ")
    match name:
        case "raw HTTP":
            return _raw(task, int(connections))
        case "raw HTTP, files":
            return _raw_files(task, int(connections))
        case "Slipway" | "Slipway, SHA-256 known":
            return _slipway(task, known="SHA-256" in name)
        case "boto3":
            return _boto3(task)
        case "minio":
            return _minio(task)
        case "awscrt":
            return _awscrt(task)
    raise ValueError(task.contender)


def _key() -> StoreKey:
    return StoreKey.model_validate(
        {"access_key": os.environ["BENCH_ACCESS_KEY"], "secret_key": os.environ["BENCH_SECRET_KEY"]}
    )


def _slipway(task: Task, *, known: bool) -> Callable[[], object]:
    from storage.transfer.transfers import Download, Transfers, Upload  # noqa: PLC0415 - others' memory is measured too

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

    # For small objects its transfer manager is slower than a plain loop: compare with the better one.
    small = task.size < BUFFER
    return (put if small else up) if task.up else (get if small else down)


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

    def start(number: int) -> Any:  # noqa: ANN401 - its own future
        window.acquire()
        named = [("Host", host)] + [("Content-Length", str(task.size))] * task.up
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
        request = HttpRequest(verb, f"/{BUCKET}/{number}", HttpHeaders(named))
        return client.make_request(request=request, on_done=lambda **_: window.release(), **options)

    def go() -> None:
        started = [start(number) for number in range(task.count)]
        for request in started:
            request.finished_future.result()

    return go


def _raw(task: Task, connections: int) -> Callable[[], object]:
    """The limit: sockets alone, signed before the clock starts; no file, no checksum, nothing is kept."""
    pieces = _pieces(task, connections)
    stretches = [(_head(task, *piece), piece[2] - piece[1]) for piece in pieces]
    body = memoryview(os.urandom(BUFFER))

    def work(mine: list[tuple[bytes, int]]) -> None:
        buffer = memoryview(bytearray(BUFFER))
        with socket.create_connection((task.host, task.port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for head, size in mine:
                sock.sendall(head)
                if task.up:
                    for start in range(0, size, BUFFER):
                        sock.sendall(body[: min(BUFFER, size - start)])
                _swallow(sock, buffer)

    def go() -> None:
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(work, [stretches[number::connections] for number in range(connections)]))

    return go


def _raw_files(task: Task, connections: int) -> Callable[[], object]:
    """The limit with files at its end: as `_raw`, but the kernel sends the bytes, and what comes lands."""
    pieces = [(_head(task, *piece), piece) for piece in _pieces(task, connections)]

    def work(mine: list[tuple[bytes, tuple[str, int, int]]]) -> None:
        buffer = memoryview(bytearray(BUFFER))
        with socket.create_connection((task.host, task.port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for head, (key, start, end) in mine:
                sock.sendall(head)
                name = key if task.count > 1 else "0"
                if task.up:
                    with (task.source / name).open("rb") as file:
                        sock.sendfile(file, start, end - start)
                    _swallow(sock, buffer)
                else:
                    descriptor = os.open(task.target / name, os.O_WRONLY | os.O_CREAT, 0o666)
                    _swallow(sock, buffer, descriptor, start)
                    os.close(descriptor)

    def go() -> None:
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(work, [pieces[number::connections] for number in range(connections)]))

    return go


def _pieces(task: Task, connections: int) -> Iterator[tuple[str, int, int]]:
    """Key, start and end of each request: one an object, or a stretch of the only one for each connection."""
    if task.count > 1 or connections == 1:
        yield from ((str(number), 0, task.size) for number in range(task.count))
        return
    each = task.size // connections
    for number in range(connections):
        # Sockets alone can't put parts together: up, each stretch becomes an object.
        yield f"raw-{number}" if task.up else "0", number * each, (number + 1) * each


def _head(task: Task, key: str, start: int, end: int) -> bytes:
    host = f"{task.host}:{task.port}"
    headers = {"host": host}
    if task.up:
        headers["content-length"] = str(end - start)
    elif (start, end) != (0, task.size):
        headers["range"] = f"bytes={start}-{end - 1}"
    stored = _key()
    verb = "PUT" if task.up else "GET"
    signed = signed_headers(
        verb,
        f"/{BUCKET}/{key}",
        "",
        headers,
        payload=UNSIGNED,
        credentials=Credentials(stored.access_key, stored.secret_key.get_secret_value()),
        region=REGION,
        now=datetime.now(UTC),
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return f"{verb} /{BUCKET}/{key} HTTP/1.1\r\n{lines}\r\n".encode()


def _swallow(sock: socket.socket, buffer: memoryview, descriptor: int = -1, offset: int = 0) -> None:
    """Read one answer to its end, and write its body to a file if there is one."""
    count = 0
    while (end := bytes(buffer[:count]).find(b"\r\n\r\n")) < 0:
        got = sock.recv_into(buffer[count:])
        if not got:
            raise RuntimeError("the store hung up")
        count += got
    head = bytes(buffer[:end]).decode().lower()
    if not head.startswith(("http/1.1 200", "http/1.1 206")):
        raise RuntimeError(head.split("\r\n")[0])
    left = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    got = buffer[end + 4 : count]
    while True:
        if descriptor >= 0:
            offset += os.pwrite(descriptor, got, offset)
        left -= len(got)
        if not left:
            return
        got = buffer[: sock.recv_into(buffer)]
        if not got:
            raise RuntimeError("the store hung up")


def _touch_memory(task: Task) -> None:
    """Have the memory that the files will be cached in.

    A virtual machine gets it from its host when it is first written, which can take longer than a
    transfer, and gives it back some seconds after it is freed.
    """
    path = task.target / "memory"
    with path.open("wb") as file:
        zeros = bytes(BUFFER)
        for _ in range(0, task.count * task.size, BUFFER):
            file.write(zeros)
    path.unlink()


def _peak() -> int:
    """Peak of this process's memory in bytes; what getrusage says starts with the parent's."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) << 10 if found else 0


def main() -> None:
    """Do one task and print its figures."""
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
