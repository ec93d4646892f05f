"""What a kustomization would fetch while it is built: refused, because a fetched base has no digest. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Final

from infra.upstream import manifests
from infra.upstream.trees import Tree

_NAMES: Final = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_URL: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://|git@|[a-z0-9.-]+\.[a-z]{2,}[/:]|[^ ]*[?&](ref|version|timeout)=|[^ ]*//[^ ]*\?"
)
_FOLDERS: Final = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers")


def remote_bases(tree: Tree) -> list[str]:
    """Return `FILE: URL` for every base, chart or file of the tree's kustomizations that is elsewhere.

    Raises:
        ManifestError: A kustomization is not readable.
    """
    return [
        f"{path}: {found}"
        for path in sorted(tree)
        if path.rpartition("/")[2] in _NAMES
        for document in manifests.values(tree[path].decode(), path)
        if isinstance(document, dict)
        for found in _remote(document)
    ]


def _remote(document: dict[str, Any]) -> Iterator[str]:
    for name in _FOLDERS:
        for entry in document.get(name) or ():
            if isinstance(entry, str) and _URL.match(entry):
                yield entry
    for chart in document.get("helmCharts") or ():
        yield f"chart {chart.get('repo') or chart.get('name')}"
    for patch in [*(document.get("patches") or ()), *(document.get("replacements") or ())]:
        path = patch.get("path") if isinstance(patch, dict) else patch
        if isinstance(path, str) and _URL.match(path):
            yield path
    openapi = (document.get("openapi") or {}).get("path")
    if isinstance(openapi, str) and _URL.match(openapi):
        yield openapi
