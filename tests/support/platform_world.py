"""A machine made of files, for the provider `slipway`: `python platform_world.py <engine address>`.

`$WORLD/state` is how the cluster is, `$WORLD/images` what it has; `$WORLD/calls` is what was asked for.
`$WORLD/refuse` makes the next start a UsageError, `$WORLD/break` a FailedError, `$WORLD/hang` endless.
"""

import os
import sys
import threading
from pathlib import Path

from embedded.plugins.platform.kinds import ClusterInputs, ClusterState, ImageInputs
from embedded.plugins.platform.world import Stopped
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report


class FileWorld:
    """`kinds.World` on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        self.stopped = threading.Event()

    def _note(self, line: str) -> None:
        with (self.folder / "calls").open("a") as file:
            file.write(line + "\n")

    def _said(self, name: str) -> bool:
        return (self.folder / name).exists()

    def state(self, instance: str) -> ClusterState:
        path = self.folder / "state"
        return path.read_text() if path.exists() else "absent"  # type: ignore[return-value]

    def kubeconfig(self, instance: str) -> str:
        return f"kubeconfig of {instance} with a key in it"

    def has_image(self, instance: str, reference: str) -> bool:
        return (self.images / reference.replace("/", "_")).exists()

    def start(self, inputs: ClusterInputs, report: Report) -> None:
        self._note(f"start {inputs.instance} {[forward.port for forward in inputs.forwards]}")
        if self._said("refuse"):
            raise UsageError("Port 20000 is taken.", why="nginx holds it.", fix="Stop nginx.")
        report("starting etcd")
        (self.folder / "state").write_text("broken")
        if self._said("hang"):
            report("hanging")
            self.stopped.wait()
            raise Stopped
        if self._said("break"):
            raise FailedError("etcd does not start.", why="The disk is full.", fix="Free some space.")
        (self.folder / "state").write_text("running")

    def delete(self, instance: str, report: Report) -> None:
        self._note(f"delete {instance}")
        (self.folder / "state").unlink(missing_ok=True)

    def ensure_image(self, inputs: ImageInputs, report: Report) -> str:
        self._note(f"image {inputs.reference}")
        (self.images / inputs.reference.replace("/", "_")).touch()
        return inputs.reference

    def remove_image(self, instance: str, reference: str) -> None:
        self._note(f"remove {reference}")
        (self.images / reference.replace("/", "_")).unlink(missing_ok=True)

    def stop(self) -> None:
        self.stopped.set()


if __name__ == "__main__":
    # Not above: tests import this module too, and one process can't hold two google.rpc.Status (kfp's).
    from embedded.plugins.platform.kinds import kinds
    from slipway.provider.protocol import run

    folder_world = FileWorld(Path(os.environ["WORLD"]))
    run(sys.argv[1:], kinds(folder_world), folder_world.stop)
