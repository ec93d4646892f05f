"""Store keys, derived from the stack's secret: they are not stored, and a rotation increments a number.

HKDF-SHA256 (RFC 5869) over (purpose, tenant, generation). Pure.
"""

import base64
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, SecretStr

from storage.layout import checked_name


class StoreRole(StrEnum):
    """The user of a key. A tenant has one key per role."""

    RUNNER = "runner"
    """Pipeline runs: write the run prefix, read data and models."""
    SERVER = "server"
    """Predictors: read models."""
    EDITOR = "editor"
    """The tenant's members: read and write input data, read runs and models."""

    PROMOTER = "promoter"
    """Promotion: read runs, write models."""

    COLLECTOR = "collector"
    """Garbage collection: read models, delete unused versions."""


class StoreKey(BaseModel):
    """An access key and its secret key, which is masked when printed."""

    model_config = ConfigDict(frozen=True)

    access_key: str
    secret_key: SecretStr


def _derive(secret: str, purpose: str, length: int) -> str:
    raw = HKDF(hashes.SHA256(), length, salt=b"slipway/v1", info=purpose.encode()).derive(secret.encode())
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def root_key(secret: str, generation: int = 1) -> StoreKey:
    """Return the key of the store's administrator."""
    purpose = f"root/{generation}"
    return StoreKey(
        access_key=f"slipway-root-{generation}",
        secret_key=SecretStr(_derive(secret, purpose, 30)),
    )


def stack_identity(secret: str) -> str:
    """Return what tells this stack from every other: public, and the same whatever is rotated."""
    return _derive(secret, "stack-identity", 12)


def tenant_key(secret: str, tenant: str, role: StoreRole, generation: int = 1) -> StoreKey:
    """Return the key of a tenant's role. `generation` counts from 1; a rotation increments it."""
    purpose = f"tenant/{checked_name('tenant', tenant)}/{role}/{generation}"
    return StoreKey(
        access_key=f"{tenant}-{role}-{generation}",
        secret_key=SecretStr(_derive(secret, purpose, 30)),
    )


def part_password(secret: str, namespace: str, name: str, key: str) -> SecretStr:
    """Return a password of an installed part of upstream, for one key of the Secret that the part reads."""
    return SecretStr(_derive(secret, f"part/{namespace}/{name}/{key}", 30))


def backup_key(secret: str) -> SecretStr:
    """Return the key that signs the indexes of the stack's backups; deriving it needs the stack's secret."""
    return SecretStr(_derive(secret, "backup-index/1", 32))
