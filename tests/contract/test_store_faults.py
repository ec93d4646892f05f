"""A store that refuses or misbehaves: each cause reads differently, and the store is as it was."""

import os
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.auth
import botocore.crt.auth
import pytest
from minio import MinioAdmin
from pydantic import SecretStr
from support.candidates import lineage, staged_files
from support.certificates import certificate, new_ca
from support.faulty_store import Fault, FaultyStore, faulty_store
from support.minio import Minio, contents, free_port, running_minio
from support.mortal_minio import mortal_minio
from support.promotions import key_of

from slipway.core.errors import StoreError
from storage.administration import open_admin
from storage.client import RETRIES, StoreAccess, open_store
from storage.keys import StoreKey
from storage.registry.model_files import RESUMPTIONS, Staged
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract
BIG = 2 << 20


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        server.client().create_bucket(Bucket="models")
        yield server


@pytest.fixture
def proxy(minio: Minio) -> Iterator[FaultyStore]:
    with faulty_store(minio.endpoint) as between:
        yield between


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    name = tmp_path.name.encode()
    return staged_files(tmp_path, {"model.pkl": name * (BIG // len(name)), "schema.json": name})


def opened(
    url: str, key: StoreKey, *, region: str = "us-east-1", ca: str | None = None, **limits: Any
) -> Any:
    return open_store(StoreAccess(endpoint=url, region=region, key=key, ca=ca), **limits)


def registry_on(client: Any, bucket: str = "models") -> Registry:
    return Registry(client, bucket, "team-a", by="a test")


def published(client: Any, staged: Staged, bucket: str = "models") -> str:
    return registry_on(client, bucket).publish("churn", staged, lineage()).digest


def error_of(call: Callable[[], object], *hidden: StoreKey) -> StoreError:
    """Return the error; no secret of `hidden` may be in it."""
    with pytest.raises(StoreError) as caught:
        call()
    text = f"{caught.value} {caught.value.__notes__ if hasattr(caught.value, '__notes__') else ''}"
    assert not [key for key in hidden if key.secret_key.get_secret_value() in text]
    assert re.match(r"Could not (read|write|list) [^ ]+: [^:]+\.$", caught.value.what), caught.value.what
    assert caught.value.exit_code == 1
    return caught.value


def ends(error: StoreError) -> str:
    """What the first line says after what was wanted."""
    return error.what.partition(": ")[2]


def admin_of(minio: Minio) -> MinioAdmin:
    return open_admin(minio.access)


def key(access_key: str, secret_key: str) -> StoreKey:
    return StoreKey(access_key=access_key, secret_key=SecretStr(secret_key))


@pytest.mark.parametrize(
    ("fault", "cause", "says", "code"),
    [
        ("unknown", "unknown-key", "the store does not know the access key.", "InvalidAccessKeyId"),
        ("disabled", "unknown-key", "the store does not know the access key.", "InvalidAccessKeyId"),
        (
            "secret",
            "wrong-secret",
            "the secret key does not belong to the access key.",
            "SignatureDoesNotMatch",
        ),
        ("policy", "forbidden", "the key has no permission for this.", "AccessDenied"),
    ],
)
def test_a_wrong_key_is_refused_for_what_is_wrong_with_it(minio, staged, fault, cause, says, code):
    admin = admin_of(minio)
    good = key("publisher", "publishers-own-secret")
    admin.user_add(good.access_key, good.secret_key.get_secret_value())
    admin.policy_set("readwrite", user=good.access_key)
    bad = good
    if fault == "unknown":
        bad = key("nobody-at-all", "publishers-own-secret")
    elif fault == "secret":
        bad = key(good.access_key, "another-secret-of-it")
    elif fault == "disabled":
        admin.user_disable(good.access_key)
    else:
        bad = key("lurker", "lurkers-own-secret")
        admin.user_add(bad.access_key, bad.secret_key.get_secret_value())
        admin.policy_set("diagnostics", user=bad.access_key)
    before = contents(minio)
    error = error_of(lambda: published(opened(minio.url, bad), staged), good, bad)
    assert (error.cause, ends(error)) == (cause, says)
    assert error.why.startswith(f"{code}: ")
    assert contents(minio) == before
    admin.user_enable(good.access_key)
    assert published(opened(minio.url, good), staged) == staged.digest


def test_a_missing_bucket_is_named_with_its_command(minio, staged):
    client = opened(minio.url, key_of(minio))
    before = contents(minio)
    error = error_of(lambda: published(client, staged, "modells"), key_of(minio))
    assert (error.cause, ends(error)) == ("bucket-missing", "the bucket modells does not exist.")
    assert "`slipway up`" in error.fix
    assert contents(minio) == before
    assert published(client, staged) == staged.digest


def test_another_region_is_found_or_refused(tmp_path, staged):
    with mortal_minio(tmp_path / "minio", MINIO_SITE_REGION="eu-central-1") as store:
        key_of_root = key_of(store.server)
        root = opened(store.server.url, key_of_root, region="eu-central-1")
        root.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        with faulty_store(store.server.endpoint) as proxy:
            proxy.faults = [Fault(status=400, code="AuthorizationHeaderMalformed")]
            silent = opened(proxy.url, key_of_root, region="us-west-2")
            error = error_of(lambda: published(silent, staged), key_of_root)
        assert error.cause == "region"
        assert ends(error) == "the request was signed for another region than the store's."
        assert root.list_objects_v2(Bucket="models")["KeyCount"] == 0
        other = opened(store.server.url, key_of_root, region="us-west-2")
        assert published(other, staged) == staged.digest


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_wrong_clock_is_named_and_not_retried(minio, proxy, staged, monkeypatch, minutes):
    client = opened(proxy.url, key_of(minio))
    before = contents(minio)

    def off(remove_tzinfo: bool = True) -> datetime:
        now = datetime.now(UTC) + timedelta(minutes=minutes)
        return now.replace(tzinfo=None) if remove_tzinfo else now

    with monkeypatch.context() as patch:
        # The one signs in Python, the other by the CRT where that is installed.
        patch.setattr(botocore.auth, "get_current_datetime", off)
        patch.setattr(botocore.crt.auth, "get_current_datetime", off)
        error = error_of(lambda: published(client, staged), key_of(minio))
    assert (error.cause, ends(error)) == (
        "clock-skew",
        "this machine's clock and the store's differ too much.",
    )
    assert error.why.startswith("RequestTimeTooSkewed: ")
    assert "NTP" in error.fix
    assert len(proxy.seen) == 1, "botocore corrects no clock and does not try again"
    assert contents(minio) == before
    assert published(client, staged) == staged.digest


@pytest.mark.parametrize(("shift", "way"), [(20, "20 minutes behind"), (-20, "20 minutes ahead of")])
def test_the_difference_of_the_clocks_is_told(minio, proxy, staged, shift, way):
    client = opened(proxy.url, key_of(minio))
    proxy.faults = [Fault(shift=timedelta(minutes=shift))]
    error = error_of(lambda: published(client, staged), key_of(minio))
    assert f"This machine's clock is {way} the store's." in error.why
    proxy.faults.clear()
    assert published(client, staged) == staged.digest


def test_a_store_that_is_not_there_is_named(minio, staged):
    nobody = f"http://127.0.0.1:{free_port()}"
    before = contents(minio)
    error = error_of(lambda: published(opened(nobody, key_of(minio), retries=0), staged), key_of(minio))
    assert (error.cause, ends(error)) == ("unreachable", "nothing answers at the store's address.")
    assert error.why.startswith(f"EndpointConnectionError at {nobody}: ")
    assert "`slipway status`" in error.fix
    assert contents(minio) == before
    assert published(opened(minio.url, key_of(minio)), staged) == staged.digest


def test_without_key_or_role_nothing_is_sent(minio, proxy, staged, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = open_store(StoreAccess(endpoint=proxy.url, region="us-east-1"))
    before = contents(minio)
    error = error_of(lambda: published(client, staged), key_of(minio))
    assert (error.cause, ends(error)) == ("no-identity", "no valid credentials to sign with.")
    assert proxy.seen == []
    assert contents(minio) == before
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    default_chain = open_store(StoreAccess(endpoint=proxy.url, region="us-east-1"))
    assert published(default_chain, staged) == staged.digest


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("CA", "signed by a CA that is not trusted"),
        ("name", "issued for another name than the one in the address"),
        ("expired", "has expired"),
        ("plain", "uses HTTP at this address"),
    ],
)
def test_no_key_is_sent_to_an_untrusted_certificate(minio, staged, tmp_path, fault, why):
    ours, other = new_ca(), new_ca()
    days = -1 if fault == "expired" else 1
    address = "127.0.0.2" if fault == "name" else "127.0.0.1"
    tls = certificate(ours, address, days=days, folder=tmp_path)
    trusted = (other if fault == "CA" else ours).pem
    before = contents(minio)
    with faulty_store(minio.endpoint, tls=None if fault == "plain" else tls) as proxy:
        url = proxy.url.replace("http://", "https://")
        client = opened(url, key_of(minio), ca=trusted, retries=0)
        error = error_of(lambda: published(client, staged), key_of(minio))
        assert proxy.seen == []
    assert (error.cause, ends(error)) == ("certificate", "the store's certificate is not trusted.")
    assert why in error.why
    assert contents(minio) == before
    good: ssl.SSLContext = certificate(ours, "127.0.0.1", days=1, folder=tmp_path)
    with faulty_store(minio.endpoint, tls=good) as proxy:
        assert published(opened(proxy.url, key_of(minio), ca=ours.pem), staged) == staged.digest


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (503, "ServiceUnavailable"), (503, "XMinioServerNotInitialized"), (429, "SlowDown")],
)
def test_a_busy_store_is_asked_again_and_not_for_ever(minio, proxy, staged, status, code):
    client = opened(proxy.url, key_of(minio), retries=2)
    before = contents(minio)
    proxy.faults = [Fault(status=status, code=code)]
    error = error_of(lambda: published(client, staged), key_of(minio))
    assert (error.cause, ends(error)) == ("busy", "the store is overloaded or still starting.")
    assert error.why.startswith(f"{code}: ")
    assert len(proxy.seen) == 3, "one attempt and two more"
    assert contents(minio) == before
    proxy.faults = [Fault(status=status, code=code, times=2)]
    assert published(client, staged) == staged.digest
    assert RETRIES == 5, "what commands use"


def test_a_slow_answer_is_named_and_a_torn_upload_no_version(minio, proxy, staged):
    client = opened(proxy.url, key_of(minio), retries=0, read_seconds=0.5)
    proxy.faults = [Fault(method="PUT", path="schema.json", hold=1.5)]
    error = error_of(lambda: published(client, staged), key_of(minio))
    assert (error.cause, ends(error)) == ("slow", "the store took too long to answer.")
    assert error.why.startswith(f"ReadTimeoutError at {proxy.url}: ")
    clean = registry_on(opened(minio.url, key_of(minio)))
    assert staged.digest not in clean.list_versions("churn")
    patient = opened(proxy.url, key_of(minio), retries=0, read_seconds=30)
    assert published(patient, staged) == staged.digest
    assert clean.verify("churn", staged.digest).digest == staged.digest


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_an_upload_that_is_cut_off_is_no_version_and_a_rerun_is(minio, secured, staged, tmp_path):
    ours = new_ca()
    tls = certificate(ours, "127.0.0.1", days=1, folder=tmp_path) if secured else None
    with faulty_store(minio.endpoint, tls=tls) as proxy:
        client = opened(proxy.url, key_of(minio), ca=ours.pem if secured else None, retries=1)
        proxy.faults = [Fault(method="PUT", path="model.pkl", keep_body=BIG // 2)]
        error = error_of(lambda: published(client, staged), key_of(minio))
        assert (error.cause, ends(error)) == ("cut", "the connection broke during a request or an answer.")
        assert proxy.count("PUT", "model.pkl") == 2
        clean = registry_on(opened(minio.url, key_of(minio)))
        assert staged.digest not in clean.list_versions("churn")
        left = [name for _, name in contents(minio) if staged.digest in name]
        assert [name for name in left if name.endswith(("model.pkl", "manifest.json"))] == []
        proxy.faults[0].times = 1
        assert published(client, staged) == staged.digest, "one that is cut once is sent again"


def test_a_body_the_store_did_not_get_is_sent_again(minio, proxy, staged):
    client = opened(proxy.url, key_of(minio), retries=1)
    before = contents(minio)
    proxy.faults = [Fault(method="PUT", status=400, code="IncompleteBody")]
    error = error_of(lambda: published(client, staged), key_of(minio))
    assert (error.cause, ends(error)) == ("cut", "the connection broke during a request or an answer.")
    assert "ran out of space" in error.why
    assert [proxy.count("PUT", name) for name in ("model.pkl", "schema.json")] == [2, 2], "not for ever"
    assert contents(minio) == before
    proxy.faults[0].times = 1
    assert published(client, staged) == staged.digest


def test_a_download_that_is_cut_off_goes_on_where_it_broke(minio, proxy, staged):
    clean = opened(minio.url, key_of(minio))
    published(clean, staged)
    between = registry_on(opened(proxy.url, key_of(minio), retries=0))
    before = contents(minio)
    proxy.faults = [Fault(method="GET", path="model.pkl", keep_answer=BIG // 2, times=1)]
    assert between.verify("churn", staged.digest).digest == staged.digest
    assert proxy.count("GET", "model.pkl") == 2
    proxy.seen.clear()
    proxy.faults = [Fault(method="GET", path="model.pkl", keep_answer=10)]
    error = error_of(lambda: between.verify("churn", staged.digest), key_of(minio))
    assert (error.cause, ends(error)) == ("cut", "the connection broke during a request or an answer.")
    assert proxy.count("GET", "model.pkl") == 1 + RESUMPTIONS, "not for ever"
    assert contents(minio) == before
