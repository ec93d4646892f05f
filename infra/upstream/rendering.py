"""Render a part from its fetched files, by kustomize and helm as programs, without a network."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.upstream import manifests
from infra.upstream.manifests import Document
from infra.upstream.namespaces import with_namespaces
from infra.upstream.objects import finished, in_namespace
from infra.upstream.part import Files, Helm, Kustomize, Own, Part, Step
from infra.upstream.patching import patched
from infra.upstream.remote_bases import remote_bases
from infra.upstream.trees import Tree, is_used
from infra.versions import KUBERNETES
from slipway.core.errors import FailedError

_SECONDS: Final = 300
_NOWHERE: Final = "http://127.0.0.1:9"
"""A proxy that nothing listens at: what would still be fetched fails."""


@dataclass(frozen=True)
class Programs:
    """The programs that render; None if no part needs it."""

    kustomize: Path | None
    helm: Path | None


def render(part: Part, trees: Mapping[str, Tree], programs: Programs) -> list[Document]:
    """Return the objects of a part, patched, in order of identity; the same each time.

    Args:
        part: The part.
        trees: The files of each source, by its name.
        programs: kustomize and helm.

    Raises:
        FailedError: It can't be rendered; the message names the file or the object.
    """
    try:
        documents = _rendered(part, trees, programs)
        return finished(with_namespaces(part, patched(documents, part.patches)))
    except ValueError as error:  # of manifests, patches and namespaces
        raise _failure(part, f"{error}.") from None


def _rendered(part: Part, trees: Mapping[str, Tree], programs: Programs) -> list[Document]:
    files = _rewritten(
        part, {f"{name}/{path}": content for name, tree in trees.items() for path, content in tree.items()}
    )
    left = remote_bases(files) if any(isinstance(step, Kustomize) for step in part.steps) else []
    if left:
        raise _failure(part, f"It would fetch while it renders: {'; '.join(left[:5])}.")
    with tempfile.TemporaryDirectory(prefix="slipway-render-") as name:
        folder = Path(name)
        for path, content in files.items():
            target = folder / "tree" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return [document for step in part.steps for document in _step(step, part, files, folder, programs)]


def _rewritten(part: Part, files: dict[str, bytes]) -> dict[str, bytes]:
    for rewrite in part.rewrites:
        text = files.get(rewrite.file, b"").decode()
        if text.count(rewrite.old) != 1:
            raise _failure(
                part, f"{rewrite.file} has {rewrite.old!r} {text.count(rewrite.old)} times, not once."
            )
        files[rewrite.file] = text.replace(rewrite.old, rewrite.new).encode()
    return files | {path: text.encode() for path, text in part.files.items()}


def _step(
    step: Step, part: Part, files: Mapping[str, bytes], folder: Path, programs: Programs
) -> list[Document]:
    match step:
        case Own():
            return [dict(document) for document in step.objects]
        case Files():
            return [
                document
                for path in sorted(files)
                if is_used(path, step.paths) and path.endswith((".yaml", ".yml"))
                for document in manifests.parse(files[path].decode(), path)
            ]
        case Kustomize():
            text = _run(part, programs.kustomize, folder, ["build", f"tree/{step.path}"])
            return manifests.parse(text, step.command)
        case Helm():
            for path in step.subcharts:
                name = path.rpartition("/")[2]
                shutil.copytree(folder / "tree" / path, folder / "tree" / step.chart / "charts" / name)
            values = folder / "values.json"
            values.write_text(json.dumps(step.values))
            arguments = ["template", step.release, f"tree/{step.chart}", "--namespace", step.namespace]
            # Built from its module, helm believes in Kubernetes 1.20.
            options = [
                "--kube-version",
                KUBERNETES,
                "--include-crds",
                "--skip-tests",
                "--values",
                str(values),
            ]
            text = _run(part, programs.helm, folder, [*arguments, *options])
            return in_namespace(manifests.parse(text, step.command), step.namespace)


def _run(part: Part, program: Path | None, folder: Path, arguments: list[str]) -> str:
    assert program is not None, f"{part.name} needs a program that was not looked for"
    # Nothing of the user's: settings, plugins and caches of helm and kustomize would change the result.
    environment = {
        "HOME": str(folder),
        "PATH": os.devnull,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE),
    }
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _failure(part, f"{program.name} did not end within {_SECONDS // 60} minutes.") from None
    if done.returncode != 0:
        said = done.stderr.strip().replace(str(folder), "")
        raise _failure(part, f"{program.name}: {said[-400:] or 'it printed nothing'}")
    return done.stdout


def _failure(part: Part, why: str) -> FailedError:
    return FailedError(
        f"{part.name} {part.version} could not be rendered.",
        why=why,
        fix=f"Correct infra/upstream/parts for {part.name}: its sources, rewrites or patches.",
    )
