"""Install every part of the bundle on a real API server: `python -m bench.parts`.

The objects are those in the cache: `slipway upstream fetch` and `render` put them there. No image is run; the
tests' kubelet reports pods as ready. Webhook configurations are left out, since nothing would answer them,
and so is the wait for what a controller would make.
"""

import datetime
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.measure import ROOT, say
from bench.page import put_into
from infra.upstream.bundle import BundledPart, bundled
from infra.upstream.install.bundled import part_objects

sys.path.insert(0, str(ROOT / "tests"))
from support.apiserver import api_server
from support.pulumi_cli import Project, install_slipway_plugin

PAGE: Final = ROOT / "docs" / "benchmarks.md"
NO_CONTROLLER: Final = ("APIService", "Certificate", "ClusterIssuer", "Issuer", "PersistentVolumeClaim")
PROGRAM: Final = f"""\
import json
from infra.cluster.handle import Connection
from infra.upstream.install import readiness
from infra.upstream.install.installation import Installation, InstallationArgs, PartObjects
for kind in {NO_CONTROLLER}:
    readiness._JUDGES.pop(kind, None)
parts = [
    PartObjects(name=name, stages={{int(stage): documents for stage, documents in stages.items()}})
    for name, stages in json.loads(pathlib.Path("parts.json").read_text()).items()
]
connection = Connection(kubeconfig_path=str(pathlib.Path("kubeconfig").resolve()))
Installation(
    "parts",
    InstallationArgs(parts=parts, connection=connection),
    pulumi.ResourceOptions(providers=[provider]),
)
"""


def main() -> int:
    """Install, change nothing twice, and rewrite the page's section."""
    stages = {each.part.name: _stages(each) for each in bundled([])}
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        servers, project_folder = Path(folder) / "servers", Path(folder) / "project"
        servers.mkdir()
        project_folder.mkdir()
        with api_server(servers) as server:
            (project_folder / "kubeconfig").write_text(server.kubeconfig)
            (project_folder / "parts.json").write_text(json.dumps(stages))
            project = Project(project_folder)
            install_slipway_plugin(project_folder)
            # Without it the CLI logs every property of every step (docs/adr/0017-definitions-by-digest.md).
            (project_folder / "home" / "logs").touch()
            project.program(PROGRAM)
            first = _up(project)
            again = [_up(project) for _ in range(2)]
            size = sum(path.stat().st_size for path in (project_folder / "backend").rglob("stacks/**/*.json"))
    _write(stages, first, again, size)
    return 0


def _stages(part: BundledPart) -> dict[int, list[Mapping[str, Any]]]:
    return {
        stage: [each for each in documents if not each["kind"].endswith("WebhookConfiguration")]
        for stage, documents in part_objects(part).stages.items()
    }


def _up(project: Project) -> tuple[float, float, str]:
    """Return seconds, seconds of processor time, and the CLI's summary of one `up`."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = project.start("up", "-s", "test", "--yes", "--skip-preview", "--suppress-progress")
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(text[-4000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = ", ".join(re.findall(r"\d+ (?:created|updated|unchanged)", text.rpartition("Resources:")[2]))
    seconds = time.monotonic() - began
    say(f"up: {seconds:.0f} s, {summary}")
    return seconds, used, summary


def _write(
    stages: Mapping[str, Mapping[int, list[Mapping[str, Any]]]],
    first: tuple[float, float, str],
    again: list[tuple[float, float, str]],
    size: int,
) -> None:
    objects = [each for part in stages.values() for documents in part.values() for each in documents]
    definitions = sum(each["kind"] == "CustomResourceDefinition" for each in objects)
    section = [
        "## Every part of the bundle",
        "",
        f"Written by `python -m bench.parts` on {datetime.date.today().isoformat()}: {len(stages)} parts "
        f"with {len(objects)} objects, {definitions} of them definitions, on a real API server. No image "
        "runs; without webhook configurations.",
        "",
        "| what | seconds | processor | resources |",
        "|---|---|---|---|",
        f"| first `up` | {first[0]:.0f} | {first[1]:.0f} s | {first[2]} |",
        *(f"| `up` without changes | {each[0]:.1f} | {each[1]:.0f} s | {each[2]} |" for each in again),
        "",
        f"The state has {size / 1e6:.1f} MB.",
    ]
    put_into(PAGE, "parts", section)


sys.exit(main())
