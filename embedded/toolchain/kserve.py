"""KServe's CRDs and the ClusterRole of its controller, generated from the pinned Go source."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Final

import yaml

from embedded.toolchain import cache, golang, lanes, processes
from embedded.toolchain.build import binary, entry_of
from embedded.toolchain.failures import explain
from embedded.toolchain.tools import TOOLS
from slipway.core.report import Report, silent

ROLE: Final = "kserve-manager-role"
CRDS: Final = (
    "clusterservingruntimes",
    "clusterstoragecontainers",
    "inferencegraphs",
    "inferenceservices",
    "servingruntimes",
    "trainedmodels",
)
"""The kinds that cmd/manager of v0.17.0 watches or lists, in the plural.

The rest (LLMInferenceService, LocalModel…) belongs to controllers that are not installed: objects of these
kinds would be accepted and then ignored.
"""

_MODULE: Final = "github.com/kserve/kserve"
_GENERATORS: Final = (
    "crd:maxDescLen=0,generateEmbeddedObjectMeta=true",
    f"rbac:roleName={ROLE}",
    # The Makefile of v0.17.0 names the same packages for the manager's role.
    f"paths={_MODULE}/pkg/apis/serving/...",
    f"paths={_MODULE}/pkg/controller/v1alpha1/inferencegraph",
    f"paths={_MODULE}/pkg/controller/v1alpha1/trainedmodel",
    f"paths={_MODULE}/pkg/controller/v1beta1/...",
)


def kserve_manifests(report: Report = silent) -> Path:
    """The folder with `crds/*.json` and `role.json` of the pinned KServe, generated if need be.

    Args:
        report: Told what is built and generated.

    Raises:
        UsageError: There is no Go that can do it.
        FailedError: A build or the generation failed; a rerun converges.
    """
    entry, go = _entry()
    if cache.load(entry) is not None:
        return entry
    shelf = entry.parent
    generator = binary("controller-gen", report)
    subject = title()
    try:
        with cache.locked(shelf, subject, report):
            if cache.load(entry) is None:
                with cache.staging(shelf) as work:
                    began = time.monotonic()
                    report(f"generating the {subject}")
                    _generate(generator, go, work)
                    cache.publish(work / "out", entry, subject=subject, seconds=time.monotonic() - began)
                    report(f"{subject} generated in {lanes.clock(time.monotonic() - began)}")
    except OSError as error:
        raise explain(f"The {subject} could not be generated.", [str(error)]) from error
    return entry


def title() -> str:
    """Name the manifests for a person."""
    return f"manifests of KServe {TOOLS['kserve'].version}"


def generated_kserve_manifests() -> Path | None:
    """The folder that `kserve_manifests` returns if it is there already; generates nothing.

    Raises:
        UsageError: There is no Go that can say which it is.
    """
    entry, _ = _entry()
    return entry if cache.load(entry) is not None else None


def _entry() -> tuple[Path, golang.Go]:
    """Where the cache keeps, or will keep, the manifests; and the Go that generates them."""
    tool = TOOLS["kserve"]
    go = golang.find((tool,))
    inputs = (entry_of(tool, go).name, *_GENERATORS, *CRDS, Path(__file__).read_text())
    key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
    return cache.shelf("kserve", "manifests") / key, go


def _generate(generator: Path, go: golang.Go, work: Path) -> None:
    raw, out = work / "raw", work / "out"
    for folder in (raw, out / "crds", work / "scratch"):
        folder.mkdir(parents=True)
    output: list[str] = []
    env = golang.environment(go, work / "scratch")
    env["GOFLAGS"] = f"{env.get('GOFLAGS', '')} -mod=readonly".strip()
    code = processes.follow(
        [str(generator), *_GENERATORS, f"output:crd:dir={raw}", f"output:rbac:dir={raw}"],
        cwd=TOOLS["kserve"].folder,
        env=env,
        line=output.append,
    )
    if code != 0:
        raise explain("KServe's manifests could not be generated.", output[-60:])
    for plural in CRDS:
        definition = _read(raw / f"serving.kserve.io_{plural}.yaml")
        if plural == "inferenceservices":
            _make_names_optional(definition)
        _write(out / "crds" / f"{plural}.json", definition)
    _write(out / "role.json", _read(raw / "role.yaml"))


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    """Write JSON: each `up` reads the file, and takes 0.01 s for it instead of 0.3 s for YAML."""
    path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))


def _make_names_optional(definition: dict[str, Any]) -> None:
    """Take `name` off the required fields of the model servers in the InferenceService CRD.

    They embed a Kubernetes container, whose name the generator demands, while KServe's own webhook
    refuses a predictor that has one (validatePredictor, v0.17.0). Upstream edits its CRDs as well.
    """
    for version in definition["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        for component in ("predictor", "transformer", "explainer"):
            for schema in spec[component]["properties"].values():
                if "storageUri" in schema.get("properties", {}) and "name" in schema.get("required", ()):
                    schema["required"].remove("name")
                    if not schema["required"]:
                        del schema["required"]
