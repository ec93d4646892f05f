"""Uploads compiled pipelines: a version is named by its digest, so a repeated upload changes nothing."""

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml
from kfp import Client
from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from pipelines.client import calling, pages
from pipelines.compile import compiled
from slipway.core.errors import FailedError

VERSION_DIGITS: Final = 12
PAGE: Final = 100


class Uploaded(BaseModel):
    """An uploaded version of a pipeline."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    pipeline_id: str
    version: str
    version_id: str
    digest: str
    git_commit: str
    created: bool
    parameters: dict[str, dict[str, Any]]
    """Declared parameters: name -> `parameterType`, `defaultValue`."""


def current_commit() -> str:
    """Return the commit of this checkout, with `-dirty` if pipelines/ has changes."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def upload(client: Client, outputs: PlatformOutputs, tenant: str, pipeline: str) -> Uploaded:
    """Compile and upload a pipeline for one tenant, with its steps in the stack's image.

    Idempotent: the version's name is the digest of the IR, image included.
    """
    namespace = outputs.tenant(tenant).namespace
    text = compiled(pipeline, image=outputs.images.steps)
    digest = hashlib.sha256(text.encode()).hexdigest()
    version = digest[:VERSION_DIGITS]
    commit = current_commit()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{pipeline}.yaml"
        path.write_text(text)
        pipeline_id = _pipeline(client, pipeline, namespace, path)
        version_id, created = _version(client, pipeline_id, version, path, f"git commit {commit}")
    declared = yaml.safe_load(text)["root"].get("inputDefinitions", {}).get("parameters", {})
    return Uploaded(
        pipeline=pipeline,
        pipeline_id=pipeline_id,
        version=version,
        version_id=version_id,
        digest=digest,
        git_commit=commit,
        created=created,
        parameters=declared,
    )


def _pipeline(client: Client, name: str, namespace: str, path: Path) -> str:
    if existing := _find_pipeline(client, name, namespace):
        return existing
    try:
        with calling(f"upload pipeline {name}"):
            created = client.upload_pipeline(str(path), pipeline_name=name, namespace=namespace)
            return str(created.pipeline_id)
    except FailedError:
        # Another process may have uploaded it meanwhile.
        if existing := _find_pipeline(client, name, namespace):
            return existing
        raise


def _find_pipeline(client: Client, name: str, namespace: str) -> str | None:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    with calling(f"look up pipeline {name}"):
        answer = client.list_pipelines(
            page_size=PAGE, filter=json.dumps({"predicates": [predicate]}), namespace=namespace
        )
    matches = [each for each in answer.pipelines or [] if each.display_name == name]
    return str(matches[0].pipeline_id) if matches else None


def _version(client: Client, pipeline_id: str, name: str, path: Path, description: str) -> tuple[str, bool]:
    if existing := _find_version(client, pipeline_id, name):
        return existing, False
    try:
        with calling(f"upload version {name}"):
            created = client.upload_pipeline_version(
                str(path), pipeline_version_name=name, pipeline_id=pipeline_id, description=description
            )
            return str(created.pipeline_version_id), True
    except FailedError:
        if existing := _find_version(client, pipeline_id, name):
            return existing, False
        raise


def _find_version(client: Client, pipeline_id: str, name: str) -> str | None:
    def page(token: str) -> Any:  # noqa: ANN401 - kfp has no types
        return client.list_pipeline_versions(pipeline_id, page_token=token, page_size=PAGE)

    for answer in pages(page, "list the pipeline's versions"):
        for version in answer.pipeline_versions or []:
            if version.display_name == name:
                return str(version.pipeline_version_id)
    return None
