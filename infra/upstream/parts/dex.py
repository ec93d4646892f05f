"""Dex: logins; without upstream's user, whose password everybody knows. Pure."""

from typing import Final

from infra.upstream.distribution import NAME, distribution
from infra.upstream.part import Available, Kustomize, MadeSecret, Part, Remove, Rewrite, Stage, Target

_NAMESPACE: Final = "auth"
_SETTINGS: Final = f"{NAME}/common/dex/overlays/oauth2-proxy/config-map.yaml"

PART: Final = Part(
    name="dex",
    version="2.45.1",
    stage=Stage.IDENTITY,
    sources=(
        distribution(
            "common/dex/base",
            "common/dex/overlays/istio",
            "common/dex/overlays/oauth2-proxy",
        ),
    ),
    rewrites=(
        # One user stays for the first login: the hash of its password is in the Secret that `up` has to make.
        Rewrite(_SETTINGS, "email: user@example.com\n", "email: administrator@slipway.invalid\n"),
        Rewrite(_SETTINGS, "username: user\n", "username: administrator\n"),
        Rewrite(_SETTINGS, 'userID: "15841185641784"\n', "userID: slipway-administrator\n"),
        Rewrite(_SETTINGS, 'level: "debug"\n', "level: info\n"),
    ),
    steps=(Kustomize(f"{NAME}/common/dex/overlays/oauth2-proxy"),),
    patches=(
        Remove(Target("Secret", "dex-passwords")),
        Remove(Target("Secret", "dex-oidc-client")),
    ),
    namespaces={_NAMESPACE: "restricted"},
    requires=("istio",),
    secrets=(
        MadeSecret(_NAMESPACE, "dex-passwords", ("DEX_USER_PASSWORD",)),
        MadeSecret(_NAMESPACE, "dex-oidc-client", ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")),
    ),
    probes=(Available(_NAMESPACE, "dex"),),
)
