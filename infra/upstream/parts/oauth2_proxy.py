"""oauth2-proxy: the gateway's login page; without upstream's client and cookie secrets. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Available, Kustomize, MadeSecret, Part, Rewrite, Stage

_NAMESPACE: Final = "oauth2-proxy"
_GENERATED: Final = """secretGenerator:
- name: oauth2-proxy
  type: Opaque
  literals:
  - client-id=kubeflow-oidc-authservice
  - client-secret=pUBnBOY80SnXgjibTYM9ZWNzY2xreNGQok
  - cookie-secret=7d16fee92f8d11b8940b081b3f8b8acb
"""

PART: Final = Part(
    name="oauth2-proxy",
    version="7.15.2",
    stage=Stage.IDENTITY,
    sources=(
        distribution(
            "common/oauth2-proxy/base",
            "common/oauth2-proxy/components",
            "common/oauth2-proxy/overlays/m2m-dex-only",
        ),
    ),
    # Without the generator the Deployment names the Secret itself, and not one with a suffix.
    rewrites=(Rewrite(f"{NAME}/common/oauth2-proxy/base/kustomization.yaml", _GENERATED, ""),),
    steps=(Kustomize(f"{NAME}/common/oauth2-proxy/overlays/m2m-dex-only"),),
    namespaces={_NAMESPACE: "restricted"},
    requires=("istio", "dex"),
    secrets=(MadeSecret(_NAMESPACE, "oauth2-proxy", ("client-id", "client-secret", "cookie-secret")),),
    probes=(Available(_NAMESPACE, "oauth2-proxy"),),
)
