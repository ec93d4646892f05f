"""What a step can't access, and that no process outlives it: tried by steps in the pod's two containers.

Each step tells what it could do; the controls show that the same could be done where it is allowed.
"""

# Steps are written as users write them.
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH120, PTH123, PTH208, PTH211, SIM115
import json
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from kfp import dsl
from support import kfp_cases as steps
from support.kfp_pod import STEPS_USER, Pod, children, running_pod
from support.kfp_server import BUCKET, TENANT, launcher_objects
from support.minio import Minio, running_minio
from support.waiting import eventually

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::FutureWarning")]
component = dsl.component(base_image="python:3.11", install_kfp_package=False)


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="module")
def pod(minio: Minio) -> Iterator[Pod]:
    with running_pod(launcher_objects(minio)) as pod:
        yield pod


def ended(pod: Pod, pipeline: Any, **arguments: Any) -> Any:
    client = pod.server.client()
    run = client.create_run_from_pipeline_func(
        pipeline, arguments=arguments, namespace=TENANT, enable_caching=False
    )
    return client.wait_for_run_completion(run.run_id, 120, sleep_duration=0.05)


def output(pod: Pod, run: Any, task: str) -> Any:
    assert run.state == "SUCCEEDED", run.error
    return pod.server.tasks(run.run_id)[task]["outputs"]["parameters"]["Output"]


@component
def tries(paths: dict) -> dict:
    """Try each operation on its path and return the results."""
    import os
    import signal
    import socket

    def connect(path: str) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(path)
            made.settimeout(5)
            made.sendall(b"x")
            if made.recv(1) == b"":
                raise ConnectionResetError("closed")

    operations = {
        "read": lambda path: open(path, "rb").read(1),
        "write": lambda path: open(path, "ab").close(),
        "list": os.listdir,
        "make": lambda path: os.mkdir(f"{path}/made"),
        "move": lambda path: os.rename(path, f"{path}-moved"),
        "kill": lambda path: os.kill(int(path), signal.SIGKILL),
        "memory": lambda path: open(f"/proc/{path}/mem", "r+b").read(1),
        "descriptors": lambda path: os.listdir(f"/proc/{path}/fd"),
        "reopen": lambda path: open(f"/proc/self/fd/{path}", "rb").read(1),
        "connect": connect,
    }
    ends = {"user": os.getuid(), "groups": sorted(os.getgroups())}
    for name, (operation, path) in paths.items():
        try:
            operations[operation](path)
            ends[name] = "done"
        except OSError as error:
            ends[name] = type(error).__name__
    return ends


@dsl.pipeline(name="trying")
def trying(paths: dict) -> None:
    tries(paths=paths)


def test_a_step_can_access_neither_database_nor_key(pod: Pod) -> None:
    data = pod.folder / "data"
    run = ended(pod, trying, paths={
        "database": ("read", str(data / "kfp.sqlite")),
        "database, to write": ("write", str(data / "kfp.sqlite")),
        "logs": ("list", str(data / "logs")),
        "key": ("read", str(pod.secret)),
        "its own log, to read": ("reopen", "1"),
        "folder of runs": ("make", str(pod.work / "runs")),
        "socket": ("move", str(pod.socket)),
        "first process": ("memory", "1"),
        "first process's files": ("descriptors", "1"),
        "control, working": ("write", "/tmp/slipway-containment-control"),
        "control, own folder": ("make", "."),
        "control, own files": ("descriptors", "self"),
    })  # fmt: skip
    ends = output(pod, run, "tries")
    assert ends.pop("user") == STEPS_USER
    assert {name: end for name, end in ends.items() if end == "done"} == {
        "control, working": "done", "control, own folder": "done", "control, own files": "done",
    }  # fmt: skip
    denied = {name: end for name, end in ends.items() if end != "done" and name != "groups"}
    assert set(denied.values()) == {"PermissionError"}, denied
    assert len(denied) == 9


def test_a_step_can_not_attack_the_step_parent(pod: Pod) -> None:
    run = ended(pod, trying, paths={"kill": ("kill", "1"), "second control": ("connect", str(pod.socket))})
    ends = output(pod, run, "tries")
    assert ends["kill"] == "done", "the kernel accepts the signal and ignores it"
    assert ends["second control"] != "done"
    assert ended(pod, trying, paths={}).state == "SUCCEEDED"


@component
def leaves_link(target: str, data: dsl.Output[dsl.Dataset]):
    import os

    os.symlink(target, data.path)


@component
def leaves_linked_folder(target: str, data: dsl.Output[dsl.Dataset]):
    import os
    import shutil

    folder = os.path.dirname(data.path)
    shutil.rmtree(folder)
    os.symlink(os.path.dirname(target), folder)
    os.chdir("/")


@component
def leaves_linked_parameter(target: str, executor: dsl.OutputPath(str)):
    import os

    os.symlink(target, executor)


@pytest.mark.parametrize("step", [leaves_link, leaves_linked_folder, leaves_linked_parameter])
def test_a_link_in_place_of_an_output_is_not_followed(pod: Pod, minio: Minio, step: Any) -> None:
    @dsl.pipeline(name="linking")
    def linking(target: str) -> None:
        step(target=target)

    run = ended(pod, linking, target=str(pod.secret))
    assert run.state == "FAILED"
    for key in minio.keys(BUCKET):
        assert minio.secret_key.encode() not in minio.read(BUCKET, key), key


def test_folders_closed_by_a_step_are_read_and_removed(pod: Pod, minio: Minio) -> None:
    @component
    def closes(data: dsl.Output[dsl.Dataset]):
        import os

        os.umask(0o077)
        os.makedirs(data.path + "/deep")
        with open(data.path + "/deep/file", "w") as file:
            file.write("content")
        os.chmod(data.path + "/deep", 0o500)
        os.makedirs("closed/inner")
        os.chmod("closed", 0o000)

    @dsl.pipeline(name="closing")
    def closing() -> None:
        steps.reads_folder_names(data=closes().outputs["data"])

    run = ended(pod, closing)
    assert output(pod, run, "reads-folder-names") == "deep/file"
    assert not (pod.work / "runs" / run.run_id).exists()


def test_steps_run_after_a_restart_of_their_container(pod: Pod) -> None:
    client = pod.server.client()

    @dsl.pipeline(name="slow")
    def slow() -> None:
        steps.sleeps(seconds=600.0)

    run = client.create_run_from_pipeline_func(slow, namespace=TENANT, enable_caching=False)
    until_working(pod, run.run_id)
    pod.kill_steps()
    assert client.wait_for_run_completion(run.run_id, 60, sleep_duration=0.05).state == "FAILED"
    pod.start_steps()
    assert ended(pod, trying, paths={}).state == "SUCCEEDED"


def test_a_restarted_server_can_run_steps(pod: Pod) -> None:
    pod.server.stop()
    pod.server.start()
    assert ended(pod, trying, paths={}).state == "SUCCEEDED"


def until_working(pod: Pod, run_id: str) -> None:
    eventually(lambda: list((pod.work / "runs" / run_id).glob("*/*/ephemeral_component.py")))


FORKS_TWICE = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        stay()
    os._exit(0)
"""
ESCAPES = {
    "forks twice": FORKS_TWICE,
    "forks three times": f"if os.fork() == 0:{textwrap.indent(FORKS_TWICE, '    ')}    os._exit(0)",
    "starts a session": "subprocess.Popen(['sleep', '600'], start_new_session=True)",
    "leaves a pool": "kept.append(multiprocessing.Pool(2)); kept[0].map_async(time.sleep, [600, 600])",
    "kills its guardian": f"{FORKS_TWICE}\nos.kill(os.getppid(), 9)\ntime.sleep(600)",
}


@component
def escapes(code: str) -> int:
    """Start a process that stays, and return the number of processes of the container."""
    import multiprocessing
    import os
    import subprocess
    import time

    def stay():
        os.execv("/bin/sleep", ["sleep", "600"])

    def sleeping():
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/comm") as file:
                    if file.read() == "sleep\n":
                        return True
            except OSError:
                continue
        return False

    kept = []
    exec(code, {"os": os, "time": time, "subprocess": subprocess, "multiprocessing": multiprocessing,
                "stay": stay, "kept": kept})  # fmt: skip
    while not kept and not sleeping():
        time.sleep(0.05)
    found = len([name for name in os.listdir("/proc") if name.isdigit()])
    if kept:
        os._exit(found)
    return found


@pytest.mark.parametrize("how", ESCAPES)
def test_nothing_outlives_its_step(pod: Pod, how: str) -> None:
    @dsl.pipeline(name="escaping")
    def escaping(code: str) -> None:
        escapes(code=code)

    run = ended(pod, escaping, code=ESCAPES[how])
    if how in ("leaves a pool", "kills its guardian"):
        assert run.state == "FAILED"
    else:
        assert output(pod, run, "escapes") > 3, "the first process, the guardian, the step, and its process"
    # Neither processes nor zombies. If the guardian was killed, the first process kills the rest.
    eventually(lambda: in_the_container(pod) == [])
    assert ended(pod, trying, paths={}).state == "SUCCEEDED"


def in_the_container(pod: Pod) -> list[int]:
    """Processes of the steps' container except the first, including zombies."""
    by_parent = children()
    inside = [pod.first_process()]
    for pid in inside:
        inside += by_parent.get(pid, [])
    return inside[1:]


@component
def ends_slowly(marker: str) -> None:
    import atexit
    import sys
    import threading
    import time

    def later() -> None:
        time.sleep(0.3)
        sys.stdout.write(f"{marker} from a thread")

    atexit.register(lambda: sys.stdout.write(f"{marker} from a hook"))
    threading.Thread(target=later).start()


def test_exit_waits_for_threads_hooks_and_output(pod: Pod) -> None:
    @dsl.pipeline(name="ending")
    def ending() -> None:
        ends_slowly(marker="seen")

    run = ended(pod, ending)
    assert run.state == "SUCCEEDED", run.error
    log = pod.server.task_log(run.run_id, "ends-slowly")
    assert "seen from a thread" in log
    assert "seen from a hook" in log


@pytest.mark.parametrize(("code", "message"), [("3", "exit code 3"), ("'why'", "why"), ("None", "")])
def test_a_step_that_exits_keeps_its_exit_code(pod: Pod, code: str, message: str) -> None:
    @component
    def leaves(code: str) -> None:
        import sys

        sys.exit(eval(code))

    @dsl.pipeline(name="leaving")
    def leaving(code: str) -> None:
        leaves(code=code)

    run = ended(pod, leaving, code=code)
    assert run.state == ("FAILED" if message else "SUCCEEDED")
    assert message in json.dumps(pod.server.tasks(run.run_id)["leaves"].get("error", ""))
