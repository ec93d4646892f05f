"""A tenant's keys rotated under load: killed twice, rerun, and nobody who predicts or reads notices."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.checkout import Checkout, Finished
from support.waiting import eventually

from infra.contract import PlatformOutputs
from serving import credentials
from serving.access import store_access
from serving.cluster import Cluster
from slipway.core.errors import FailedError
from slipway.operations.store_rotation import first_certificate, shown_generation
from storage import credential_verifier
from storage.client import StoreAccess, open_store

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

FLOWERS = {"inputs": [{"name": "rows", "shape": [1, 4], "datatype": "FP64", "data": [[5.1, 3.5, 1.4, 0.2]]}]}


class Probe:
    """Predicts over HTTP, and reads the store with the key that the editor's Secret holds, all the time."""

    def __init__(self, outputs: PlatformOutputs) -> None:
        self.outputs = outputs
        self.cluster = Cluster.of(outputs)
        base = outputs.serving.endpoint.rstrip("/")
        self.url = f"{base}/serving/team-a/iris/v2/models/iris/infer"
        self.counts: dict[str, int] = {"predicted": 0, "read": 0}
        self.failures: list[str] = []

    def predict(self) -> None:
        answer = httpx.post(self.url, json=FLOWERS, timeout=15)
        assert answer.status_code == 200, answer.text[:200]
        assert answer.json()["outputs"][0]["data"] == ["setosa"]
        self.counts["predicted"] += 1

    def read(self) -> None:
        client = open_store(store_access(self.outputs, "team-a", "editor"))
        try:
            client.list_objects_v2(Bucket=self.outputs.store.models_bucket, Prefix="team-a/", MaxKeys=1)
        finally:
            client.close()
        self.counts["read"] += 1

    def go_on(self) -> None:
        """Wait until each has been answered a few more times, and often enough for a control, or failed."""
        before = dict(self.counts)
        wanted = {name: max(50, count + 10) for name, count in before.items()}
        eventually(lambda: self.failures or all(self.counts[name] >= n for name, n in wanted.items()))

    @contextmanager
    def watching(self) -> Iterator["Probe"]:
        stop = threading.Event()

        def repeat(ask: Callable[[], None]) -> None:
            while not stop.wait(0.1):
                try:
                    ask()
                except Exception as error:  # noqa: BLE001 - whatever it is, it is an outage
                    self.failures.append(f"{time.monotonic():.1f} {ask.__name__}: {error!r}"[:300])

        threads = [threading.Thread(target=repeat, args=(ask,)) for ask in (self.predict, self.read)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def started_until(clone: Checkout, words: str, sign: signal.Signals, *command: str) -> None:
    """Start a command and send it a signal as soon as it has printed these words."""
    process = clone.start(*command)
    assert process.stdout is not None
    output = ""
    try:
        for line in process.stdout:
            output += line
            if words in line:
                process.send_signal(sign)
                break
        process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert words in output, output[-2000:]


def kill_minio(outputs: PlatformOutputs) -> None:
    """Kill the server's process, as a crash does; its pod starts it again."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().split(b"\0")
            environment = (path.parent / "cgroup").read_text()
            ours = _pod_uid(outputs) in environment.replace("_", "-")
            if command[0].endswith(b"minio") and b"server" in command and ours:
                os.kill(int(path.parent.name), signal.SIGKILL)
                return
    raise AssertionError("MinIO's process was not found")


def _pod_uid(outputs: PlatformOutputs) -> str:
    core = Cluster.of(outputs)._core
    return str(core.read_namespaced_pod("minio-0", "slipway-store").metadata.uid)


def read_outputs(clone: Checkout) -> PlatformOutputs:
    shown = clone.slipway("outputs", "local", "--json")
    assert shown.code == 0, shown.err
    return PlatformOutputs.model_validate_json(shown.out)


def answer_to(access: StoreAccess, outputs: PlatformOutputs) -> str:
    return credential_verifier.answer(access, outputs.store.models_bucket, "team-a/")()


def checksums(cluster: Cluster, model: str) -> list[str | None]:
    live = [pod for pod in cluster.pods("team-a", model) if not pod["metadata"].get("deletionTimestamp")]
    return [credentials.checksum_of(pod) for pod in live]


@pytest.fixture
def tenant_file(clone: Checkout) -> Iterator[Path]:
    """The tenant's file. A generation can't go back while the platform lives, so the copy commits it."""
    path = clone.path / "tenants" / "team-a.yaml"
    before = path.read_text()
    yield path
    after = path.read_text()
    if after != before:
        subprocess.run(
            ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qam", "rotated"],
            cwd=clone.path,
            check=True,
        )


def test_a_rotation_killed_twice_ends_and_nobody_notices(
    clone: Checkout, first_up: Finished, tenant_file: Path
) -> None:
    assert first_up.code == 0
    outputs = read_outputs(clone)
    cluster, old = Cluster.of(outputs), store_access(outputs, "team-a", "editor")
    begun = outputs.tenants["team-a"].key_generation
    rotate = ("tenant", "rotate", "team-a")
    with Probe(outputs).watching() as probe:
        # In the middle of the first `up`, without a chance to clean up; then while predictors roll.
        started_until(clone, "store-reconcile creating", signal.SIGKILL, *rotate)
        assert "key_rotation: overlap" in tenant_file.read_text()
        assert answer_to(old, outputs) == credential_verifier.OPEN
        started_until(clone, "starting", signal.SIGINT, *rotate)
        assert "key_rotation: overlap" in tenant_file.read_text()
        assert answer_to(old, outputs) == credential_verifier.OPEN
        done = clone.slipway(*rotate, "--json")
        assert done.code == 0, done.err[-4000:]
        probe.go_on()
    assert probe.failures == []
    print(f"rotated under {probe.counts}; the last call took {done.json['seconds']} s")
    assert (done.json["key_generation"], done.json["continued"]) == (begun + 1, True)
    assert "key_rotation" not in tenant_file.read_text()
    assert answer_to(old, outputs) == credential_verifier.UNKNOWN
    assert answer_to(store_access(outputs, "team-a", "editor"), outputs) == credential_verifier.OPEN
    wanted = credentials.checksum(cluster.read_secret("team-a", "store-server"))
    for model in ("iris", "wisconsin"):
        assert checksums(cluster, model) == [wanted]


def test_after_a_rotation_a_run_writes_and_a_promotion_serves(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    done = clone.slipway(
        "pipeline", "run", "training", "--tenant", "team-a", "--model", "rotated", "--promote", "--json"
    )
    assert done.code == 0, done.err
    assert done.json["run_state"] == "SUCCEEDED"
    assert done.json["version"], done.json["decision"]
    again = clone.slipway("up", "local", "--json")
    assert again.code == 0, again.err
    assert set(again.json["changes"]) == {"same"}


def test_an_earlier_generation_is_refused_before_a_start(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    path = clone.path / "tenants" / "team-a.yaml"
    kept = path.read_text()
    lines = [line for line in kept.splitlines() if not line.startswith("key_generation")]
    path.write_text("\n".join(lines) + "\n")
    try:
        refused = clone.slipway("up", "local", "--json")
        assert refused.code == 2, refused.err
        assert "was replaced" in json.loads(refused.out)["error"]
    finally:
        path.write_text(kept)


def test_a_rotation_goes_on_after_minio_was_killed(
    clone: Checkout, first_up: Finished, tenant_file: Path
) -> None:
    assert first_up.code == 0
    outputs = read_outputs(clone)
    process = clone.start("tenant", "rotate", "team-a")
    assert process.stdout is not None
    output = ""
    try:
        for line in process.stdout:
            output += line
            if "store-reconcile creating" in line:
                kill_minio(outputs)
                break
        rest, _ = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    output += rest
    assert "Traceback" not in output
    if process.returncode:
        assert process.returncode == 1, output[-2000:]
        again = clone.slipway("tenant", "rotate", "team-a", "--json")
        assert again.code == 0, again.err[-3000:]
    assert "key_rotation" not in tenant_file.read_text()
    assert answer_to(store_access(outputs, "team-a", "editor"), outputs) == credential_verifier.OPEN
    renewed = clone.slipway("store", "rotate", "--json")
    assert renewed.code == 0, renewed.err[-3000:]
    summary: dict[str, Any] = renewed.json
    assert (summary["replaced"], summary["generation"], summary["continued"]) == ("root_key", 2, False)
    assert answer_to(store_access(outputs, "team-a", "editor"), outputs) == credential_verifier.OPEN


def test_another_certificate_under_load(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    outputs = read_outputs(clone)
    former = str(store_access(outputs, "team-a", "editor").ca)
    shown = shown_generation(outputs.store.endpoint, first_certificate(former))
    with Probe(outputs).watching() as probe:
        renewed = clone.slipway("store", "rotate", "--certificate", "--json")
        probe.go_on()
    assert renewed.code == 0, renewed.err[-3000:]
    assert (renewed.json["replaced"], renewed.json["generation"]) == ("certificate", shown + 1)
    assert probe.failures == [], "clients try again while the one server restarts"
    print(f"another certificate under {probe.counts}; it took {renewed.json['seconds']} s")
    trusted = str(store_access(outputs, "team-a", "editor").ca)
    assert shown_generation(outputs.store.endpoint, trusted) == shown + 1
    with pytest.raises(FailedError, match="SSLCertVerificationError"):
        shown_generation(outputs.store.endpoint, first_certificate(former))
    predictors = [checksums(Cluster.of(outputs), model) for model in ("iris", "wisconsin")]
    again = clone.slipway("up", "local", "--json")
    assert again.code == 0, again.err
    assert set(again.json["changes"]) == {"same"}
    assert [checksums(Cluster.of(outputs), model) for model in ("iris", "wisconsin")] == predictors
