"""Transfers against a real store: every byte, every refusal, and what is left after a fault."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.certificates import certificate, new_ca
from support.drive import flip_byte
from support.faulty_store import Fault, faulty_store
from support.minio import contents, running_minio
from support.mortal_minio import mortal_minio
from support.promotions import key_of

from slipway.core.errors import FailedError, StoreError
from storage.client import StoreAccess
from storage.keys import StoreKey
from storage.transfer import crt
from storage.transfer.crt import MEMORY, PART
from storage.transfer.transfers import Download, Transfers, Upload

MIB = 1 << 20
LARGE = 2 * PART + 8 * MIB + 5
pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        server.client().create_bucket(Bucket="data")
        yield server


@pytest.fixture
def proxy(minio):
    with faulty_store(minio.endpoint) as between:
        yield between


@pytest.fixture
def transfers(minio):
    return opened(minio.url, key_of(minio))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file of three parts, no two alike."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(LARGE))
    return path


@pytest.fixture
def uploaded(transfers, large, request):
    key = f"{request.node.name}/large.bin"
    transfers.upload("data", [Upload(large, key)])
    return key


def opened(url, key, **options):
    ca = options.pop("ca", None)
    return Transfers(StoreAccess(endpoint=url, region="us-east-1", key=key, ca=ca), **options)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pending(minio) -> list[str]:
    """Keys of the multipart uploads that are neither complete nor aborted."""
    return [entry["Key"] for entry in minio.client().list_multipart_uploads(Bucket="data").get("Uploads", ())]


def test_many_small_and_one_large_come_back_as_they_went(transfers, large, tmp_path):
    contents = {f"a/{n}.bin": os.urandom(n * 37) for n in range(300)} | {"ä b+c&=?#~'%.csv": b"odd name"}
    folder = tmp_path / "from"
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    files = [Upload(folder / name, f"trip/{name}", sha256(folder / name)) for name in contents]
    files.append(Upload(large, "trip/large.bin", sha256(large)))
    size = transfers.upload("data", files)
    assert size == sum(map(len, contents.values())) + LARGE
    back = [
        Download(
            file.key,
            tmp_path / "to" / file.key,
            size=file.path.stat().st_size,
            sha256=file.sha256 if number % 3 else None,
        )
        for number, file in enumerate(files)
    ]
    assert transfers.download("data", back) == size
    for file in files:
        assert (tmp_path / "to" / file.key).read_bytes() == file.path.read_bytes()
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1])
def test_the_edges_of_a_part(transfers, tmp_path, size):
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    transfers.upload("data", [Upload(source, f"edge/{size}", sha256(source))])
    transfers.download("data", [Download(f"edge/{size}", back, size, sha256(source))])
    assert back.read_bytes() == source.read_bytes()


def test_the_store_keeps_the_checksum_of_the_whole_object(minio, uploaded):
    head = minio.client().head_object(Bucket="data", Key=uploaded, ChecksumMode="ENABLED")
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert head["ChecksumCRC64NVME"]


def test_progress_grows_to_the_total(transfers, large, tmp_path):
    seen: list[tuple[int, int]] = []
    small = tmp_path / "small"
    small.write_bytes(b"small")
    keys = {large: "progress/large", small: "progress/small"}
    transfers.upload("data", [Upload(*pair) for pair in keys.items()], lambda *now: seen.append(now))
    uploads, seen = seen, []
    transfers.download(
        "data",
        [Download(key, tmp_path / key, path.stat().st_size) for path, key in keys.items()],
        lambda *now: seen.append(now),
    )
    for steps in (uploads, seen):
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert len(steps) > 3, "a large object is reported while it moves"
        assert steps[-1] == (LARGE + 5, LARGE + 5)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"access_key": "nobody"}, "unknown-key"),
        ({"secret_key": SecretStr("x" * 20)}, "wrong-secret"),
        ({}, "bucket-missing"),
    ],
)
@pytest.mark.parametrize("size", [5, PART, LARGE])
def test_a_refusal_is_told_by_its_cause(minio, tmp_path, wrong, cause, size):
    source = tmp_path / "source"
    source.write_bytes(bytes(size))
    there = opened(minio.url, StoreKey(**(key_of(minio).model_dump() | wrong)))
    bucket = "data" if wrong else "nowhere"
    before = contents(minio)
    with pytest.raises(StoreError) as failed:
        there.upload(bucket, [Upload(source, "refused")])
    assert failed.value.cause == cause
    assert contents(minio) == before
    assert pending(minio) == []


@pytest.mark.parametrize("listed", [0, 5, LARGE])
def test_a_missing_object_is_told_by_its_cause(transfers, tmp_path, listed):
    with pytest.raises(StoreError) as failed:
        transfers.download("data", [Download("missing", tmp_path / "to", listed)])
    assert failed.value.cause == "object-missing"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1000, LARGE])
def test_an_altered_object_leaves_no_file(minio, transfers, tmp_path, size):
    source, to = tmp_path / "source", tmp_path / "to"
    source.write_bytes(os.urandom(size))
    expected = sha256(source)
    transfers.upload("data", [Upload(source, "altered", expected)])
    with source.open("r+b") as file:
        file.seek(size // 2)
        byte = file.read(1)[0]
        file.seek(size // 2)
        file.write(bytes([byte ^ 1]))
    transfers.upload("data", [Upload(source, "altered")])
    to.write_text("what stood there")
    with pytest.raises(StoreError) as failed:
        transfers.download("data", [Download("altered", to, size, expected)])
    assert failed.value.cause == "altered"
    assert to.read_text() == "what stood there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "to"]
    transfers.download("data", [Download("altered", to, size, sha256(source))])
    assert sha256(to) == sha256(source)


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_file_that_is_not_what_was_promised_is_not_uploaded(minio, transfers, tmp_path, size):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    with pytest.raises(FailedError, match="was not uploaded"):
        transfers.upload("data", [Upload(source, "promised", "0" * 64)])
    assert minio.keys("data", "promised") == []
    assert pending(minio) == []


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_file_changed_after_its_hash_is_not_uploaded(minio, proxy, tmp_path, size):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    expected = sha256(source)

    def change(bucket: crt.Bucket, key: str, path: Path, *rest: Any) -> Any:
        with path.open("r+b") as file:
            file.write(b"changed")
        return put(bucket, key, path, *rest)

    put = crt.put
    with pytest.MonkeyPatch.context() as patch, pytest.raises(FailedError):
        patch.setattr(crt, "put", change)
        opened(proxy.url, key_of(minio)).upload("data", [Upload(source, "changed", expected)])
    assert minio.keys("data", "changed") == []
    assert pending(minio) == []
    opened(minio.url, key_of(minio)).upload("data", [Upload(source, "changed", sha256(source))])
    assert minio.read("data", "changed") == source.read_bytes()


def test_a_busy_store_and_broken_connections_are_tried_again(proxy, minio, large, tmp_path):
    there = opened(proxy.url, key_of(minio), retries=4)
    proxy.faults = [
        Fault("PUT", status=503, code="SlowDown", times=1),
        Fault("PUT", status=400, code="IncompleteBody", times=1),
        Fault("PUT", keep_body=MIB, times=1),
        Fault("PUT", lose_answer=True, times=1),
        Fault("GET", status=503, code="SlowDown", times=1),
        Fault("GET", keep_answer=MIB, times=2),
    ]
    there.upload("data", [Upload(large, "again", sha256(large))])
    there.download("data", [Download("again", tmp_path / "to", LARGE, sha256(large))])
    assert sha256(tmp_path / "to") == sha256(large)
    assert [fault.times for fault in proxy.faults] == [0] * 6


def test_a_store_that_stays_busy_is_given_up(proxy, minio, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    proxy.faults = [Fault("PUT", status=503, code="SlowDown")]
    with pytest.raises(StoreError) as failed:
        opened(proxy.url, key_of(minio), retries=2).upload("data", [Upload(source, "busy")])
    assert failed.value.cause == "busy"
    assert proxy.count("PUT") == 4, "one attempt, two more, and one by the ordinary client"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_an_interrupt_cancels_and_leaves_nothing(interrupts, minio, transfers, proxy, tmp_path, direction):
    """Ctrl-C while a part is on its way."""
    source, to = tmp_path / "source", tmp_path / "to"
    with source.open("wb") as file:
        file.truncate(20 * PART)
    if direction == "down":
        transfers.upload("data", [Upload(source, "interrupted")])
    before = contents(minio)

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(2)

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        if direction == "up":
            # The CRT reports an upload's progress late, so the interrupt comes with one of its parts.
            proxy.faults = [Fault("PUT", times=10), Fault("PUT", before=interrupt, times=1)]
            opened(proxy.url, key_of(minio)).upload("data", [Upload(source, "cancelled")])
        else:
            transfers.download("data", [Download("interrupted", to / "file", 20 * PART)], interrupted)
    assert contents(minio) == before
    assert pending(minio) == []
    assert [*to.glob("*")] == []


def test_an_answer_that_the_crt_drops_keeps_its_cause(proxy, minio, uploaded, tmp_path):
    """To the CRT this is a request to slow down; MinIO means that it can't read the object back."""
    proxy.faults = [Fault("GET", status=503, code="SlowDownRead")]
    with pytest.raises(StoreError) as failed:
        opened(proxy.url, key_of(minio), retries=1).download(
            "data", [Download(uploaded, tmp_path / "to", LARGE)]
        )
    assert failed.value.cause == "damaged"
    assert failed.value.why.startswith("SlowDownRead: ")
    assert list(tmp_path.iterdir()) == []


def test_a_byte_flipped_on_the_drive_is_damage(tmp_path):
    (tmp_path / "store").mkdir()
    source, to = tmp_path / "source", tmp_path / "to"
    content = os.urandom(200_000)
    source.write_bytes(content)
    with mortal_minio(tmp_path / "store", ("data",)) as mortal:
        there = opened(mortal.server.url, key_of(mortal.server), retries=1)
        there.upload("data", [Upload(source, "flipped")])
        there.download("data", [Download("flipped", to / "file", len(content))])
        (to / "file").unlink()
        flip_byte(mortal.data, "data", "flipped", content, 100_000)
        with pytest.raises(StoreError) as failed:
            there.download("data", [Download("flipped", to / "file", len(content))])
    assert failed.value.cause == "damaged"
    assert list(to.iterdir()) == []


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(proxy, minio, uploaded, tmp_path):
    other = os.urandom(LARGE)
    swap = Fault(
        "GET",
        times=1,
        before=lambda: minio.client().put_object(Bucket="data", Key=uploaded, Body=other),
    )
    proxy.faults = [swap]
    with pytest.raises(StoreError):
        opened(proxy.url, key_of(minio)).download("data", [Download(uploaded, tmp_path / "to", LARGE)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_store_that_is_killed_leaves_no_half(tmp_path, large, direction):
    with (
        mortal_minio(tmp_path / "store", ("data",)) as mortal,
        faulty_store(mortal.server.endpoint) as proxy,
    ):
        there = opened(proxy.url, key_of(mortal.server), retries=1)
        if direction == "down":
            there.upload("data", [Upload(large, "key")])
        # The first part passes; the store dies in the second.
        part = "PUT" if direction == "up" else "GET"
        proxy.faults = [Fault(part, times=1), Fault(part, before=mortal.kill, times=1)]
        with pytest.raises(StoreError) as failed:
            if direction == "up":
                there.upload("data", [Upload(large, "key")])
            else:
                there.download("data", [Download("key", tmp_path / "to" / "file", LARGE)])
        assert failed.value.cause in {"cut", "unreachable"}
        proxy.faults = []
        assert [*(tmp_path / "to").glob("*")] == []
        server = mortal.start()
        assert server.keys("data") == ([] if direction == "up" else ["key"])
        there.upload("data", [Upload(large, "key", sha256(large))])
        assert server.keys("data") == ["key"]


def test_tls_trusts_the_configured_ca_alone(minio, large, tmp_path):
    ours, other = new_ca(), new_ca()
    tls = certificate(ours, "127.0.0.1", days=1, folder=tmp_path)
    with faulty_store(minio.endpoint, tls=tls) as proxy:
        for stranger in (other.pem, None):
            with pytest.raises(StoreError) as failed:
                opened(proxy.url, key_of(minio), ca=stranger).download(
                    "data", [Download("tls", tmp_path / "to", 5)]
                )
            assert failed.value.cause == "certificate"
        assert proxy.seen == []
        there = opened(proxy.url, key_of(minio), ca=ours.pem)
        there.upload("data", [Upload(large, "tls", sha256(large))])
        there.download("data", [Download("tls", tmp_path / "to", LARGE, sha256(large))])
    assert sha256(tmp_path / "to") == sha256(large)


PEAK = """
import os, re, sys
from pathlib import Path
from storage.client import StoreAccess
from storage.keys import StoreKey
from storage.transfer.crt import MEMORY
from storage.transfer.transfers import Download, Transfers, Upload
url, access_key, folder = sys.argv[1:]
key = StoreKey(access_key=access_key, secret_key=os.environ["SECRET"])
there = Transfers(StoreAccess(endpoint=url, region="us-east-1", key=key))
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
source = Path(folder, "source")
with source.open("wb") as file:
    piece = os.urandom(1 << 20)
    for _ in range(2 * MEMORY >> 20):
        file.write(piece)
there.upload("data", [Upload(source, "memory")])
there.download("data", [Download("memory", Path(folder, "to"), source.stat().st_size)])
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_file(minio, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, minio.url, minio.access_key, str(tmp_path)],
        env={**os.environ, "SECRET": minio.secret_key, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # Of a file of twice MEMORY; measured were 130 MiB.
    assert int(done.stdout) < MEMORY >> 10
