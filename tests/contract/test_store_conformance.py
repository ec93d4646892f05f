"""The conformance test against three real servers, and against stores that were broken on purpose."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr
from support.certificates import CertificateAuthority, certificate, new_ca
from support.minio import Minio
from support.moto_server import Moto, running_moto
from support.versitygw import Versitygw, running_versitygw

from slipway.core.errors import FailedError
from storage.client import StoreAccess, is_precondition, open_store
from storage.conformance import (
    BucketPolicyAdministration,
    Capability,
    CheckOutcome,
    MinioAdministration,
    StoreReport,
    requirements,
    run,
)
from storage.conformance.page import page
from storage.conformance.requirements import capabilities
from storage.conformance.runner import CHECKS
from storage.keys import StoreKey

pytestmark = pytest.mark.contract

PAGE = Path(__file__).parents[2] / "docs" / "store-conformance.md"
ALL = dict.fromkeys(Capability, "passed")
NOT_IMPLEMENTED = "absent NotImplemented"

GOLDEN = {
    "MinIO": ALL
    | {
        Capability.LISTING_BY_HEADER: "failed listing another prefix with a header `Prefix`: not refused",
        Capability.ABANDONED_UPLOADS: "failed InvalidArgument",
    },
    "versitygw": ALL
    | {
        Capability.LIFECYCLE: NOT_IMPLEMENTED,
        Capability.ABANDONED_UPLOADS: NOT_IMPLEMENTED,
    },
    "moto": ALL
    | {
        Capability.RACE: "failed now and then two of 16 writers win",
        Capability.CHECKSUM: "failed the store does not return the checksum",
        Capability.WRONG_KEY: "failed a read with a wrong secret: not refused",
        Capability.POLICY: "failed reading in team-ab: not refused",
        Capability.FIXED_KEYS: "failed a key opens what it may by a token of AssumeRole: granted",
        Capability.LISTING_BY_HEADER: "failed listing another prefix with a header `Prefix`: not refused",
    },
}
"""What each store does; a change of it is a change of what Slipway may rely on."""

USABLE = {"MinIO": True, "versitygw": True, "moto": False}


def access(server: Minio | Versitygw | Moto) -> StoreAccess:
    key = StoreKey(access_key=server.access_key, secret_key=SecretStr(server.secret_key))
    return StoreAccess(endpoint=server.url, region="us-east-1", key=key)


def buckets(server: Any) -> list[str]:
    client = open_store(access(server))
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    client.close()
    return names


def results(report: StoreReport) -> dict[Capability, str]:
    return {
        found.capability: f"{found.outcome} {found.code or found.message}"
        if found.outcome is not CheckOutcome.PASSED
        else "passed"
        for found in report.capabilities
    }


def outcome(report: StoreReport, capability: Capability) -> CheckOutcome:
    [found] = [found for found in report.capabilities if found.capability is capability]
    return found.outcome


def of(*capabilities: Capability) -> tuple[Any, ...]:
    return tuple(check for check in CHECKS if check.capability in capabilities)


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with running_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def reports(minio: Minio, versitygw: Versitygw, moto: Moto) -> dict[str, StoreReport]:
    nobody = StoreKey(access_key="nobody", secret_key=SecretStr("nothing-at-all"))
    with_policy = {
        "versitygw": (versitygw, versitygw.user(), None),
        "moto": (moto, nobody, "arn:aws:iam::123456789012:user/nobody"),
    }
    made = {"MinIO": run(access(minio), administration=MinioAdministration(access(minio)))}
    for name, (server, user, principal) in with_policy.items():
        client = open_store(access(server))
        made[name] = run(access(server), administration=BucketPolicyAdministration(client, user, principal))
        client.close()
    return made | {"moto": settled(made["moto"])}


def settled(report: StoreReport) -> StoreReport:
    """Say of moto's races what is true of them at length.

    It looks and then writes, so now and then two writers win: a race as short as the test's mostly
    doesn't show it, and what sometimes fails is no result to compare.
    """
    races = [check for check in report.checks if check.capability is Capability.RACE]
    assert all(re.fullmatch(r"8 rounds of 16|[2-9] of 16 writers won .*", check.message) for check in races)
    failed = {"outcome": CheckOutcome.FAILED, "message": "now and then two of 16 writers win"}
    checks = tuple(check.model_copy(update=failed) if check in races else check for check in report.checks)
    return report.model_copy(update={"checks": checks, "capabilities": capabilities(checks)})


# --- what three stores do ---------------------------------------------------------------------------------


@pytest.mark.parametrize("store", GOLDEN)
def test_a_store_does_what_it_did(reports: dict[str, StoreReport], store: str) -> None:
    assert results(reports[store]) == GOLDEN[store]
    assert reports[store].usable is USABLE[store]


def test_the_page_says_what_was_measured(reports: dict[str, StoreReport], tmp_path: Path) -> None:
    fresh = tmp_path / PAGE.name
    fresh.write_text(page(reports))
    assert PAGE.read_text() == fresh.read_text(), f"review {fresh} and put it in the place of {PAGE}"


def test_what_moto_lacks_is_refused_by_name(reports: dict[str, StoreReport]) -> None:
    refusals = requirements(reports["moto"])
    assert {refusal.capability for refusal in refusals if refusal.fatal} == {
        Capability.RACE,
        Capability.CHECKSUM,
        Capability.WRONG_KEY,
        Capability.FIXED_KEYS,
    }
    assert "more than one tenant" in [refusal.refuses for refusal in refusals]


def test_versitygw_without_versions_says_so(tmp_path: Path) -> None:
    with running_versitygw(tmp_path, versions=False) as server:
        report = run(access(server), checks=of(Capability.VERSIONING))
    assert results(report)[Capability.VERSIONING] == "absent VersioningNotConfigured"
    assert "keeping input data that was overwritten or deleted" in [
        refusal.refuses for refusal in requirements(report)
    ]


@contextmanager
def versitygw_over_tls(folder: Path, signer: CertificateAuthority) -> Iterator[Versitygw]:
    """Start the gateway with a certificate that `signer` signed."""
    for name in ("certificate", "store"):
        (folder / name).mkdir()
    certificate(signer, "127.0.0.1", days=1, folder=folder / "certificate")
    [chain] = (folder / "certificate").iterdir()
    with running_versitygw(folder / "store", certificate=chain, ca=signer.pem) as server:
        yield server


def test_a_store_with_its_own_ca_is_tested_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = new_ca()
    needed = of(Capability.CONDITIONAL_CREATE, Capability.WRONG_KEY)
    with versitygw_over_tls(tmp_path, signer) as server:
        # Only now: before, it would hide the gateway's binary.
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        report = run(dataclasses.replace(access(server), ca=signer.pem), checks=needed)
        with pytest.raises(FailedError):
            run(dataclasses.replace(access(server), ca=new_ca().pem), checks=needed)
    assert [check for check in report.checks if check.outcome is not CheckOutcome.PASSED] == []


def test_a_lost_condition_is_told_as_such_over_tls(tmp_path: Path) -> None:
    """The gateway refuses before it has read the body; a checksum behind the body would hide the refusal."""
    signer = new_ca()
    with versitygw_over_tls(tmp_path, signer) as server:
        client = open_store(dataclasses.replace(access(server), ca=signer.pem), retries=0)
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key="alias", Body=b"first", IfNoneMatch="*")
        for _ in range(20):
            with pytest.raises(ClientError) as lost:
                client.put_object(Bucket="models", Key="alias", Body=b"second", IfNoneMatch="*")
            assert is_precondition(lost.value)
        assert client.get_object(Bucket="models", Key="alias")["Body"].read() == b"first"


# --- nothing but its own is touched -----------------------------------------------------------------------


def test_every_store_is_left_as_it_was(
    reports: dict[str, StoreReport], minio: Any, versitygw: Any, moto: Any
):
    assert {name: report.left_behind for name, report in reports.items()} == dict.fromkeys(reports, ())
    for server in (minio, versitygw, moto):
        assert [name for name in buckets(server) if name.startswith("slipway-conformance")] == []
        assert server.secret_key not in "".join(report.model_dump_json() for report in reports.values())
    admin = MinioAdministration(access(minio))._admin
    assert "slipway-conformance" not in admin.user_list() + admin.policy_list()


def test_in_a_given_bucket_nothing_else_is_touched(minio: Minio) -> None:
    client = minio.client()
    client.create_bucket(Bucket="given")
    client.put_object(Bucket="given", Key="slipway-conformance", Body=b"another's")
    client.put_object(Bucket="given", Key="kept", Body=b"kept")
    report = run(access(minio), bucket="given", administration=MinioAdministration(access(minio)))
    assert outcome(report, Capability.POLICY) is CheckOutcome.PASSED
    untested = {found.capability for found in report.capabilities if found.outcome is CheckOutcome.UNTESTED}
    assert untested == {Capability.VERSIONING, Capability.LIFECYCLE, Capability.ABANDONED_UPLOADS}
    assert report.usable
    assert minio.keys("given") == ["kept", "slipway-conformance"]
    assert client.get_bucket_versioning(Bucket="given").get("Status") is None
    assert buckets(minio) == ["given"]
    client.put_bucket_versioning(Bucket="given", VersioningConfiguration={"Status": "Enabled"})
    report = run(access(minio), bucket="given", checks=of(Capability.VERSIONING))
    assert outcome(report, Capability.VERSIONING) is CheckOutcome.PASSED
    found = client.list_object_versions(Bucket="given")
    assert [version["Key"] for version in found["Versions"]] == ["kept", "slipway-conformance"]
    assert "DeleteMarkers" not in found


def test_what_breaks_midway_is_cleaned_up_too(minio: Minio) -> None:
    def interrupt(context: Any) -> None:
        context.put("half")
        context.own_bucket("half")
        raise KeyboardInterrupt

    before = buckets(minio)
    broken = dataclasses.replace(CHECKS[0], work=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(access(minio), checks=(broken,))
    assert buckets(minio) == before


# --- a control that is taken away is missed ---------------------------------------------------------------


class Opening:
    """Opens clients that leave headers out: a store that doesn't know them would do the same."""

    def __init__(self, operation: str, *headers: str) -> None:
        self.operation = operation
        self.headers = headers

    def __call__(self, wanted: StoreAccess) -> Any:
        client = open_store(wanted)

        def forget(request: Any, **_: Any) -> None:
            for header in self.headers:
                if header in request.headers:
                    del request.headers[header]

        client.meta.events.register(f"before-sign.s3.{self.operation}", forget)
        return client


@pytest.mark.parametrize(
    ("header", "operation", "missed", "kept"),
    [
        (
            "If-None-Match",
            "PutObject",
            {Capability.CONDITIONAL_CREATE, Capability.RACE},
            {Capability.CONDITIONAL_REPLACE, Capability.MULTIPART},
        ),
        (
            "If-Match",
            "PutObject",
            {Capability.CONDITIONAL_REPLACE, Capability.RACE},
            {Capability.CONDITIONAL_CREATE, Capability.MULTIPART},
        ),
        (
            "If-None-Match",
            "CompleteMultipartUpload",
            {Capability.MULTIPART},
            {Capability.CONDITIONAL_CREATE, Capability.RACE},
        ),
        ("Range", "GetObject", {Capability.RANGE_READ}, {Capability.MULTIPART}),
        ("X-Amz-Checksum-Sha256", "PutObject", {Capability.CHECKSUM}, {Capability.MULTIPART}),
    ],
)
def test_a_store_that_ignores_a_header_is_found_out(
    minio: Minio, header: str, operation: str, missed: set[Capability], kept: set[Capability]
) -> None:
    report = run(access(minio), opens=Opening(operation, header), checks=of(*missed, *kept))
    found = {capability: outcome(report, capability) for capability in missed | kept}
    assert found == dict.fromkeys(missed, CheckOutcome.FAILED) | dict.fromkeys(kept, CheckOutcome.PASSED)
    assert not report.usable
    assert missed <= {refusal.capability for refusal in requirements(report) if refusal.fatal}


class OpenToAll(MinioAdministration):
    def document(self, bucket: str, prefix: str) -> dict[str, Any]:
        everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
        return {"Version": "2012-10-17", "Statement": [everything]}


class WithoutSlash(MinioAdministration):
    def document(self, bucket: str, prefix: str) -> dict[str, Any]:
        return super().document(bucket, prefix.rstrip("/"))


class ClosedToAll(MinioAdministration):
    def document(self, bucket: str, prefix: str) -> dict[str, Any]:
        return super().document(bucket, "elsewhere/")


class WithoutDenials(MinioAdministration):
    def document(self, bucket: str, prefix: str) -> dict[str, Any]:
        whole = super().document(bucket, prefix)
        return whole | {"Statement": [each for each in whole["Statement"] if not self.left_out(each)]}

    def left_out(self, statement: dict[str, Any]) -> bool:
        return bool(statement["Effect"] == "Deny")


class WithTokens(WithoutDenials):
    def left_out(self, statement: dict[str, Any]) -> bool:
        return "aws:principaltype" in str(statement.get("Condition"))


class WithClaims(WithoutDenials):
    def left_out(self, statement: dict[str, Any]) -> bool:
        return "StringNotEquals" in statement.get("Condition", {})


BY_TOKEN = "a key opens what it may by a token of AssumeRole"


@pytest.mark.parametrize(
    ("administration", "message"),
    [
        (WithoutDenials, "a key gives itself a secret: granted"),
        (WithTokens, f"{BY_TOKEN}: granted"),
        (WithClaims, f"{BY_TOKEN} and the header principaltype: User: granted"),
    ],
)
def test_a_key_that_can_change_itself_makes_a_store_unusable(
    minio: Minio, administration: Any, message: str
) -> None:
    report = run(
        access(minio), administration=administration(access(minio)), checks=of(Capability.FIXED_KEYS)
    )
    assert results(report)[Capability.FIXED_KEYS] == f"failed {message}"
    assert [refusal.fatal for refusal in requirements(report) if refusal.capability == "fixed-keys"] == [True]


def test_an_unlimited_key_refuses_a_second_tenant(minio: Minio) -> None:
    report = run(access(minio), checks=of(Capability.FIXED_KEYS))
    [found] = [each for each in requirements(report) if each.capability is Capability.FIXED_KEYS]
    assert (found.refuses, found.fatal) == ("more than one tenant", False)


@pytest.mark.parametrize(
    ("administration", "message"),
    [
        (OpenToAll, "reading in team-ab: not refused"),
        (WithoutSlash, "reading in team-ab: not refused"),
        (ClosedToAll, "the key was denied its own prefix"),
    ],
)
def test_a_policy_that_holds_nothing_is_found_out(
    minio: Minio, administration: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.conformance.identity._PROPAGATION", 1.0)
    report = run(access(minio), administration=administration(access(minio)), checks=of(Capability.POLICY))
    [found] = [found for found in report.capabilities if found.capability is Capability.POLICY]
    assert (found.outcome, found.message) == (CheckOutcome.FAILED, message)
    assert report.left_behind == ()


def test_a_store_that_refuses_for_another_reason_has_not_passed(minio: Minio) -> None:
    """Any exception for a denial would let a store pass that is merely broken."""

    def elsewhere(params: dict[str, Any], **_: Any) -> None:
        params["Key"] = "nothing"

    def opens(wanted: StoreAccess) -> Any:
        if not (wanted.key and wanted.key.access_key.startswith("nobody")):
            return open_store(wanted)
        client = open_store(access(minio))
        client.meta.events.register("before-parameter-build.s3.GetObject", elsewhere)
        return client

    report = run(access(minio), opens=opens, checks=of(Capability.WRONG_KEY))
    [found] = [found for found in report.capabilities if found.capability is Capability.WRONG_KEY]
    assert (found.outcome, found.code) == (CheckOutcome.FAILED, "NoSuchKey")


# --- a test that can't be begun ---------------------------------------------------------------------------


def test_a_wrong_key_and_a_store_that_is_down_are_named(minio: Minio) -> None:
    wrong = StoreKey(access_key=minio.access_key, secret_key=SecretStr("another-secret"))
    with pytest.raises(FailedError, match="SignatureDoesNotMatch") as refused:
        run(dataclasses.replace(access(minio), key=wrong))
    assert "another-secret" not in str(refused.value)
    with pytest.raises(FailedError, match="NoSuchBucket"):
        run(access(minio), bucket="no-such-bucket")
