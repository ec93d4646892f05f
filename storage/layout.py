"""The layout of the store: buckets, prefixes and URIs. Pure; the only module that builds them.

    s3://<artifacts>/<tenant>/runs/...                       written by runs, expires by lifecycle
    s3://<models>/<tenant>/<model>/versions/<sha256>/...     immutable, written by promotion only
    s3://<models>/<tenant>/<model>/aliases/<alias>.json      one record, replaced by compare-and-set
    s3://<models>/<tenant>/<model>/history/<n>.json          the promotion log, append-only
    s3://<data>/<tenant>/...                                 input data

Every prefix ends in a slash, so that `team-a` never covers `team-ab`.
"""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from slipway.core.errors import UsageError

NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""Names of tenants, models and aliases."""
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
MANIFEST: Final = "manifest.json"
"""The object of a version that is written last; without it the version does not exist."""

_VERSION_KEY: Final = re.compile(
    rf"(?P<tenant>{NAME.pattern})/(?P<model>{NAME.pattern})"
    rf"/versions/(?P<digest>{DIGEST.pattern})/(?P<path>.*)",
    re.DOTALL,
)
HISTORY_DIGITS: Final = 8
"""History numbers are zero-padded to this width, so that a listing is in order."""


def checked_name(kind: str, value: str) -> str:
    """Return `value` if it can name a tenant, model or alias; raise UsageError otherwise.

    At most 40 characters: KServe appends `-predictor-<hash>`, and a DNS label has at most 63.
    """
    if not NAME.fullmatch(value):
        raise UsageError(
            f"{value!r} can't name a {kind}.",
            why="Names are 1 to 40 lower-case letters, digits and hyphens, starting with a letter.",
            fix=f"Choose a {kind} name such as 'team-a'.",
        )
    return value


class Buckets(BaseModel):
    """The three buckets of a stack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    artifacts: str = Field(default="slipway-artifacts", description="Run artifacts; objects expire.")
    models: str = Field(default="slipway-models", description="Model versions; objects never expire.")
    data: str = Field(default="slipway-data", description="Input data.")

    def pipeline_root(self, tenant: str) -> str:
        """Return the URI under which the tenant's runs write, without a trailing slash."""
        return f"s3://{self.artifacts}/{checked_name('tenant', tenant)}/runs"

    def models_uri(self, tenant: str) -> str:
        """Return the URI of the tenant's models, without a trailing slash."""
        return f"s3://{self.models}/{checked_name('tenant', tenant)}"

    def data_uri(self, tenant: str) -> str:
        """Return the URI of the tenant's input data, without a trailing slash."""
        return f"s3://{self.data}/{checked_name('tenant', tenant)}"


def tenant_prefix(tenant: str) -> str:
    """Return the key prefix of a tenant in any bucket; ends in a slash."""
    return f"{checked_name('tenant', tenant)}/"


def runs_prefix(tenant: str) -> str:
    """Return the key prefix of the tenant's runs in the artifacts bucket."""
    return f"{tenant_prefix(tenant)}runs/"


def model_prefix(tenant: str, model: str) -> str:
    """Return the key prefix of a model in the models bucket."""
    return f"{tenant_prefix(tenant)}{checked_name('model', model)}/"


def version_prefix(tenant: str, model: str, digest: str) -> str:
    """Return the key prefix of an immutable version; `digest` is 64 hexadecimal digits."""
    if not DIGEST.fullmatch(digest):
        raise UsageError(f"{digest!r} is not a model digest.", why="A digest has 64 hexadecimal digits.")
    return f"{model_prefix(tenant, model)}versions/{digest}/"


def manifest_key(tenant: str, model: str, digest: str) -> str:
    """Return the key of a version's manifest."""
    return version_prefix(tenant, model, digest) + MANIFEST


def aliases_prefix(tenant: str, model: str) -> str:
    """Return the key prefix of a model's alias records."""
    return f"{model_prefix(tenant, model)}aliases/"


def alias_key(tenant: str, model: str, alias: str) -> str:
    """Return the key of an alias record."""
    return f"{aliases_prefix(tenant, model)}{checked_name('alias', alias)}.json"


@dataclass(frozen=True)
class VersionKey:
    """The parts of a key under a version's prefix."""

    tenant: str
    model: str
    digest: str
    path: str
    """Relative to the version's prefix: `manifest.json` or `files/…`."""


def read_version_key(key: str) -> VersionKey | None:
    """Parse a key under a version's prefix; return None for any other key."""
    match = _VERSION_KEY.fullmatch(key)
    return VersionKey(**match.groupdict()) if match else None


def history_prefix(tenant: str, model: str) -> str:
    """Return the key prefix of a model's promotion log."""
    return f"{model_prefix(tenant, model)}history/"


def history_key(tenant: str, model: str, number: int) -> str:
    """Return the key of the `number`-th entry (from 1) of a model's promotion log."""
    return f"{history_prefix(tenant, model)}{number:0{HISTORY_DIGITS}d}.json"
