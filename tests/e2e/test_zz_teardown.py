"""The last tests of the platform: what `destroy` and `delete` leave, which is nothing."""

import subprocess
from pathlib import Path

import pytest
from support.checkout import Checkout, Finished

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def _traces(name: str) -> list[str]:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    found = [line for line in (links + mounts).splitlines() if name in line]
    folders = [Path("/var/lib/slipway") / name, Path("/run/slipway") / name]
    found += [str(folder) for folder in folders if folder.exists()]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if name in command:
            found.append(command)
    return found


def test_destroy_and_delete_leave_nothing(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    name = clone.slipway("status", "local", "--json").json["cluster"]["name"]
    assert _traces(name), "the control: a running platform leaves traces"
    destroyed = clone.slipway("destroy", "local", "--yes", "--json")
    assert destroyed.code == 0, destroyed.err
    for _ in range(2):  # twice: the second has nothing to do and says so without failing
        gone = clone.slipway("local", "delete", "--yes")
        assert gone.code == 0, gone.err
    assert _traces(name) == []
    assert clone.git_status() == ""
