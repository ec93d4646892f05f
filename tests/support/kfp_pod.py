"""The pod of the pipelines API as two processes of two users, like in infra/components/kfp/pod.py.

The steps' process is the first of its own pid namespace, as in a container. If other users can't enter the
folder of the interpreter or of the project, its own mount namespace makes the folder accessible.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.kfp_server import KfpServer

SERVER_USER = 65532
STEPS_USER = 65533
_ROOT = Path(__file__).parents[2]

_SCRIPT = """
set -e
closed=$1; shown=$2; user=$3; group=$4; shift 4
if [ -n "$closed" ]; then
    hold=$(mktemp -d); mount -t tmpfs -o mode=755 none "$hold"
    number=0
    for path in $shown; do
        number=$((number + 1)); mkdir "$hold/$number"; mount --rbind "$path" "$hold/$number"
    done
    mount -t tmpfs -o mode=755 none "$closed"
    number=0
    for path in $shown; do
        number=$((number + 1)); mkdir -p "$path"; mount --rbind "$hold/$number" "$path"
    done
    umount -l "$hold"; rmdir "$hold"
fi
exec setpriv --reuid "$user" --regid "$user" --groups "$group" --bounding-set=-all --no-new-privs "$@"
"""


def as_user(user: int, *, container: bool = False) -> tuple[str, ...]:
    """The command prefix that runs a program as another user, in its own pid namespace for a container."""
    base = Path(sys.base_prefix).resolve()
    closed = next((str(folder) for folder in reversed(base.parents) if not _can_be_entered(folder)), "")
    shown = [str(path) for path in (base, _ROOT) if closed and path.is_relative_to(closed)]
    pid = ("--pid", "--fork", "--kill-child", "--mount-proc") if container else ()
    return ("unshare", "--mount", "--propagation", "private", *pid, "sh", "-c", _SCRIPT, "sh",
            closed, " ".join(shown), str(user), str(SERVER_USER))  # fmt: skip


def _can_be_entered(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


class Pod:
    """Both processes; that of the steps can be killed and restarted, like by the kubelet."""

    def __init__(self, folder: Path, launcher_objects: str) -> None:
        self.folder, self.work = folder, folder / "work"
        self.socket = self.work / "runs" / "steps.sock"
        self.secret = folder / "launcher.yaml"
        self.secret.write_text(launcher_objects)
        for path, mode in ((folder / "data", 0o700), (self.work, 0o2777), (self.work / "runs", 0o2750)):
            path.mkdir()
            os.chown(path, 0 if path == self.work else SERVER_USER, SERVER_USER)
            path.chmod(mode)
        os.chown(self.secret, SERVER_USER, SERVER_USER)
        self.secret.chmod(0o600)
        self.server = KfpServer(
            folder / "data", self.secret, prefix=as_user(SERVER_USER),
            options=("--work", str(self.work / "runs"), "--steps-socket", str(self.socket)),
        )  # fmt: skip
        self.steps: subprocess.Popen[bytes] | None = None

    def start_steps(self) -> None:
        command = [*as_user(STEPS_USER, container=True), sys.executable, "-m", "embedded.kfp.steps",
                   "--connect", str(self.socket)]  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONPATH": str(_ROOT)}
        with (self.folder / "steps.log").open("ab") as log:
            self.steps = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd="/")

    def first_process(self) -> int:
        """The first process of the steps' container. A change of user clears its parent-death signal."""
        assert self.steps is not None
        [first] = children().get(self.steps.pid, [self.steps.pid])
        return first

    def kill_steps(self) -> None:
        assert self.steps is not None
        os.kill(self.first_process(), signal.SIGKILL)
        self.steps.wait()


def children() -> dict[int, list[int]]:
    """Parent -> children, for all processes of this machine."""
    by_parent: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            by_parent.setdefault(int(parent), []).append(int(folder.name))
    return by_parent


@contextmanager
def running_pod(launcher_objects: str) -> Iterator[Pod]:
    """Start both processes; afterwards, kill them and remove their folder."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-kfp-pod-"))
    folder.chmod(0o755)
    pod = Pod(folder, launcher_objects)
    try:
        pod.start_steps()
        pod.server.start()
        yield pod
    finally:
        pod.server.stop()
        pod.kill_steps()
        shutil.rmtree(folder)
