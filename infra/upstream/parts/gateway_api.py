"""The kinds of Gateway API, without a controller: a cluster brings its own. Pure."""

from typing import Final

from infra.upstream.part import GoModule, Kustomize, Part, Source, Stage

PART: Final = Part(
    name="gateway-api",
    version="1.5.1",
    stage=Stage.DEFINITIONS,
    sources=(
        Source(
            name="gateway-api",
            repository="https://github.com/kubernetes-sigs/gateway-api",
            commit="e7677b70ae75d14a4448fba94870e7deea6cf0ad",
            folders=("config/crd/kustomization.yaml", "config/crd/standard"),
            module=GoModule("sigs.k8s.io/gateway-api", "v1.5.1"),
        ),
    ),
    steps=(Kustomize("gateway-api/config/crd"),),
)
