"""Store credentials, derived from the stack's secret: nothing to store, rotation is a number.

HKDF-SHA256 (RFC 5869) over (purpose, tenant, generation). Pure.
"""

import base64
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, SecretStr

from storage.layout import checked_name


class StoreRole(StrEnum):
    """Who uses a key. One tenant has one key per role."""

    RUNNER = "runner"
    """Pipeline runs: write the run prefix, read data and models."""
    SERVER = "server"
    """Predictors: read models only."""
    EDITOR = "editor"
    """The tenant's people: read and write input data, read runs and models."""

    PROMOTER = "promoter"
    """Promotion: read runs, write models."""

    COLLECTOR = "collector"
    """Garbage collection: read models, delete versions that nothing needs."""


class StoreKey(BaseModel):
    """An access key; the secret half is masked wherever it is printed."""

    model_config = ConfigDict(frozen=True)

    access_key: str
    secret_key: SecretStr


def _derive(secret: str, purpose: str, length: int) -> str:
    raw = HKDF(hashes.SHA256(), length, salt=b"slipway/v1", info=purpose.encode()).derive(secret.encode())
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def root_key(secret: str, generation: int = 1) -> StoreKey:
    """Credentials of the store's own administrator."""
    purpose = f"root/{generation}"
    return StoreKey(
        access_key=f"slipway-root-{generation}",
        secret_key=SecretStr(_derive(secret, purpose, 30)),
    )


def tenant_key(secret: str, tenant: str, role: StoreRole, generation: int = 1) -> StoreKey:
    """Credentials of one tenant in one role. `generation` counts from 1; a rotation adds one."""
    purpose = f"tenant/{checked_name('tenant', tenant)}/{role}/{generation}"
    return StoreKey(
        access_key=f"{tenant}-{role}-{generation}",
        secret_key=SecretStr(_derive(secret, purpose, 30)),
    )


def backup_key(secret: str) -> SecretStr:
    """What signs the indexes of the stack's backups; who can't read the stack's secret can't make it."""
    return SecretStr(_derive(secret, "backup-index/1", 32))
