"""Brings a MinIO to its desired state: buckets, policies and users. Run as a Job in the cluster.

    S3_ENDPOINT, S3_REGION, S3_CA_FILE          where the store answers, and its CA certificate
    MINIO_ROOT_USER, MINIO_ROOT_PASSWORD        its administrator's key
    /etc/slipway/desired.json                   the desired state (DesiredState); it contains no secret
    /etc/slipway-users/<access key>             a user's secret key

A rerun changes nothing. Users and policies that Slipway made and that are no longer desired are removed,
and so are access keys that its users made for themselves. What others made, and every bucket with its
content, stays.
"""

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from minio.commonconfig import ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import (
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.versioningconfig import VersioningConfig
from pydantic import SecretStr

from slipway.core.errors import SlipwayError, UsageError
from slipway.core.report import Report
from storage import retention
from storage.administered_store import Store
from storage.administration import accounts_of, administering
from storage.client import StoreAccess
from storage.desired_state import DESIRED, USERS, DesiredState, read_desired
from storage.keys import StoreKey, StoreRole
from storage.policy import POLICY_PREFIX

_OURS: Final = re.compile(rf"(?P<tenant>.+)-(?P<role>{'|'.join(StoreRole)})-(?P<generation>[0-9]+)")
"""Access keys as storage.keys makes them."""


def reconcile(store: Store, desired: DesiredState, secrets: Mapping[str, str], report: Report) -> int:
    """Make the store what `desired` says and return the number of changes.

    `secrets` are the users' secret keys by access key. The store does not reveal secret keys, so each
    is checked by a request and set where it is not the user's.

    Raises:
        UsageError: A user has no secret key, or a tenant was given keys of an earlier generation.
        StoreError: The store did not do what was requested; `cause` says why.
    """
    missing = sorted(desired.users().keys() - secrets.keys())
    if missing:
        raise UsageError(f"There is no secret key for {', '.join(missing)}.", fix="Run `pulumi up` again.")
    with administering("list the users"):
        _refuse_earlier_generations(store, desired)
    changes: list[str] = []
    with administering("set up the buckets"):
        changes += _buckets(store, desired)
    with administering("set the policies"):
        changes += _policies(store, desired)
    with administering("set the users"):
        changes += _users(store, desired, secrets)
    with administering("remove what is no longer desired"):
        changes += _leftovers(store, desired)
    for change in changes:
        report(change)
    return len(changes)


def _refuse_earlier_generations(store: Store, desired: DesiredState) -> None:
    """Refuse to make replaced keys valid again because an older version of a tenant's file was restored."""
    wanted = {tenant.name: tenant.key_generation for tenant in desired.tenants}
    for access_key in _ours(store):
        parts = _OURS.fullmatch(access_key)
        if parts and int(parts["generation"]) > wanted.get(parts["tenant"], sys.maxsize):
            raise UsageError(
                f"The store has {access_key}, but {parts['tenant']} is to have keys of generation "
                f"{wanted[parts['tenant']]}.",
                why="That would make replaced keys valid again.",
                fix=f"Set key_generation to {parts['generation']} or more in tenants/{parts['tenant']}.yaml.",
            )


def _ours(store: Store) -> list[str]:
    """Return the access keys of the users that Slipway made; other users have no such names and policies."""
    return [
        access_key
        for access_key, user in json.loads(store.admin.user_list()).items()
        if _OURS.fullmatch(access_key) and (user.get("policyName") or POLICY_PREFIX).startswith(POLICY_PREFIX)
    ]


def _buckets(store: Store, desired: DesiredState) -> list[str]:
    changes = []
    names = desired.named_buckets()
    for bucket, rules in retention.rules_of(names, desired.run_retention_days).items():
        wanted = LifecycleConfig([_rule(rule) for rule in rules])
        if not store.objects.bucket_exists(bucket):
            store.objects.make_bucket(bucket)
            changes.append(f"made bucket {bucket}")
        # Runs are made again; models and data are not.
        if bucket != names.artifacts and store.objects.get_bucket_versioning(bucket).status != ENABLED:
            store.objects.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
            changes.append(f"keeps versions in bucket {bucket}")
        # Abandoned uploads need no rule: MinIO removes them after a day, and refuses such a rule.
        if _summary(store.objects.get_bucket_lifecycle(bucket)) != _summary(wanted):
            if wanted.rules:
                store.objects.set_bucket_lifecycle(bucket, wanted)
            else:
                store.objects.delete_bucket_lifecycle(bucket)
            changes.append(f"set lifecycle of bucket {bucket}")
    return changes


def _rule(rule: retention.Rule) -> Rule:
    return Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id=rule.name,
        expiration=Expiration(days=rule.days) if rule.days else None,
        noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=rule.noncurrent_days)
        if rule.noncurrent_days
        else None,
    )


def _summary(config: LifecycleConfig | None) -> list[tuple[object, ...]]:
    """Return the relevant fields of a lifecycle: the store returns XML other than it was given."""
    return sorted(
        (
            rule.rule_id,
            rule.status,
            rule.expiration.days if rule.expiration else None,
            rule.noncurrent_version_expiration.noncurrent_days
            if rule.noncurrent_version_expiration
            else None,
        )
        for rule in (config.rules if config else [])
    )


def _policies(store: Store, desired: DesiredState) -> list[str]:
    present = json.loads(store.admin.policy_list())
    changes = []
    for name, document in desired.policies().items():
        if _canonical(present.get(name)) != _canonical(document):
            store.admin.policy_add(name, policy=document)
            changes.append(f"set policy {name}")
    return changes


def _canonical(value: object) -> object:
    """Sort what is a set: the store keeps actions, resources and statements in its own order."""
    if isinstance(value, dict):
        return {key: _canonical(entry) for key, entry in sorted(value.items())}
    if isinstance(value, list):
        return sorted((_canonical(entry) for entry in value), key=json.dumps)
    return value


def _users(store: Store, desired: DesiredState, secrets: Mapping[str, str]) -> list[str]:
    present = json.loads(store.admin.user_list())
    changes = []
    for access_key, wanted in desired.users().items():
        user = present.get(access_key)
        if user is None or user.get("status") != "enabled" or not _opens(store, access_key, secrets):
            store.admin.user_add(access_key, secrets[access_key])
            changes.append(f"set user {access_key}")
        attached = [name for name in ((user or {}).get("policyName") or "").split(",") if name]
        if attached != [wanted]:
            store.admin.policy_set(wanted, user=access_key)
            changes.append(f"gave user {access_key} policy {wanted}")
    return changes


def _opens(store: Store, access_key: str, secrets: Mapping[str, str]) -> bool:
    """Return whether the store accepts the user's key: nothing else shows whether it is current."""
    try:
        store.opened_by(_key(access_key, secrets[access_key])).list_buckets()
    except S3Error as error:
        return bool(error.code == "AccessDenied")
    return True


def _key(access_key: str, secret_key: str) -> StoreKey:
    return StoreKey(access_key=access_key, secret_key=SecretStr(secret_key))


def _leftovers(store: Store, desired: DesiredState) -> list[str]:
    """Remove the access keys that users made for themselves, and users and policies that are not desired.

    Policies now deny users to make access keys; earlier ones did not.
    """
    changes = []
    for access_key in _ours(store):
        for account in accounts_of(store.admin, access_key):
            store.admin.delete_service_account(account)
            changes.append(f"removed service account {account} of {access_key}")
        if access_key in desired.users():
            continue
        store.admin.user_remove(access_key)
        changes.append(f"removed user {access_key}")
    for name in json.loads(store.admin.policy_list()):
        if name.startswith(POLICY_PREFIX) and name not in desired.policies():
            store.admin.policy_remove(name)
            changes.append(f"removed policy {name}")
    return changes


def read_secrets(folder: Path) -> dict[str, str]:
    """Read a mounted Secret: one file per access key; Kubernetes' own links start with a dot."""
    if not folder.is_dir():
        return {}
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def main(
    environ: Mapping[str, str] = os.environ,
    *,
    desired: Path = DESIRED,
    users: Path = USERS,
    out: io.TextIOBase | None = None,
) -> int:
    """Reconcile once and return the exit code."""
    stream = out or sys.stdout

    def report(line: str) -> None:
        stream.write(f"{line}\n")

    try:
        needed = ("S3_ENDPOINT", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")
        if absent := [name for name in needed if not environ.get(name)]:
            raise UsageError(f"{', '.join(absent)} is not set.", why="The Job gets it from its Secret.")
        endpoint, access_key, secret_key = (environ[name] for name in needed)
        ca_file = environ.get("S3_CA_FILE")
        store = Store(
            StoreAccess(
                endpoint=endpoint,
                region=environ.get("S3_REGION", "us-east-1"),
                key=_key(access_key, secret_key),
                ca=Path(ca_file).read_text() if ca_file else None,
            )
        )
        wanted = read_desired(desired)
        store.wait()
        changed = reconcile(store, wanted, read_secrets(users), report)
    except SlipwayError as error:
        report(f"error: {error}")
        return error.exit_code
    report(f"the store is as desired; {changed} changes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
