"""What tests of the bundle share: a cache folder, a lock and parts of their own, from git repositories."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from embedded import toolchain
from infra.upstream.part import Kustomize, Part, Source, Stage
from slipway.core.cache_folder import cache_folder
from slipway.operations import upstream

MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  namespace: n\ndata:\n  key: value\n"
FILES = {"config/kustomization.yaml": "resources: [c.yaml]\n", "config/c.yaml": MANIFEST, "other": "unused"}


def own_cache(folder: Path, monkeypatch) -> Path:
    """Give the test an empty cache folder, with the tools that are built already."""
    toolchain.ensure(["kustomize", "helm"])
    tools = (cache_folder() / "tools").resolve()
    folder.mkdir()
    (folder / "tools").symlink_to(tools)
    monkeypatch.setenv("SLIPWAY_CACHE", str(folder))
    return folder


def own_parts(monkeypatch, lock_file: Path, *parts: Part) -> None:
    monkeypatch.setattr(upstream, "PARTS", {part.name: part for part in parts})
    monkeypatch.setattr(upstream, "LOCK_FILE", lock_file)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, files: Mapping[str, str] = FILES) -> str:
    """Make a git repository with one commit; return the commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main", ".")
    return commit(folder, files)


def commit(folder: Path, files: Mapping[str, str]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=change")
    return git(folder, "rev-parse", "HEAD")


def part_of(folder: Path, at: str, **more) -> Part:
    """Return a part that kustomize renders from the repository's folder `config`."""
    source = Source("source", folder.as_uri(), at, ("config",))
    return Part(
        **{
            "name": "p",
            "version": "1",
            "stage": Stage.CONTROLLERS,
            "steps": (Kustomize("source/config"),),
            "sources": (source,),
            "namespaces": {"n": "restricted"},
            **more,
        }
    )
