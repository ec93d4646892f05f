"""`slipway doctor --store` as its users meet it: whose store, whose key, exit codes; no store is asked."""

import json
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from slipway.cli import app
from slipway.core.errors import FailedError, UsageError
from slipway.operations import store_test, workspace
from slipway.operations.choices import PolicyMechanism
from slipway.operations.store_test import StoreUnderTest, at
from storage.conformance import Capability, CheckOutcome, CheckResult, StoreReport
from storage.conformance.requirements import capabilities
from storage.keys import StoreKey

URL = "http://127.0.0.1:9"
KEYS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "hidden-away"}
LIMITED = {"SLIPWAY_LIMITED_ACCESS_KEY_ID": "limited", "SLIPWAY_LIMITED_SECRET_ACCESS_KEY": "hidden-too"}


def found(**missing: CheckOutcome) -> StoreReport:
    checks = tuple(
        CheckResult(
            capability=each,
            name=each,
            holds="It holds.",
            outcome=missing.get(each, CheckOutcome.PASSED),
            message="it does not" if each in missing else "",
        )
        for each in Capability
    )
    return StoreReport(
        endpoint=URL, region="r", administration="none", checks=checks, capabilities=capabilities(checks)
    )


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keep what would be tested, and answer with `report`."""
    kept: dict[str, Any] = {"report": found()}

    def run(under_test: StoreUnderTest, report: Any) -> StoreReport:
        kept["tested"] = under_test
        report("race: one wins")
        return kept["report"]

    monkeypatch.setattr(StoreUnderTest, "run", run)
    return kept


def test_a_usable_store_is_exit_0_with_what_is_refused_there(keys, answers, capsys):
    answers["report"] = found(lifecycle=CheckOutcome.ABSENT)
    assert app.main(["doctor", "--store", "--endpoint", URL, "--region", "eu"]) == 0
    shown = capsys.readouterr()
    for each in Capability:
        assert each in shown.out
    assert "run retention" in shown.out
    assert shown.out.rstrip().endswith("\nusable")
    assert "race: one wins" in shown.err
    tested = answers["tested"]
    assert (tested.access.endpoint, tested.access.region, tested.bucket) == (URL, "eu", None)


def test_a_store_without_what_is_needed_is_exit_1(keys, answers, capsys):
    answers["report"] = found(race=CheckOutcome.FAILED)
    assert app.main(["doctor", "--store", "--endpoint", URL]) == 1
    shown = capsys.readouterr().out
    assert "every promotion" in shown
    assert "not usable" in shown


@pytest.mark.parametrize(("missing", "code"), [({}, 0), ({"race": CheckOutcome.FAILED}, 1)])
def test_json_is_one_document(keys, answers, capsys, missing, code):
    answers["report"] = found(**missing)
    assert app.main(["doctor", "--store", "--endpoint", URL, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["usable"] is (code == 0)
    assert {each["capability"] for each in document["capabilities"]} == set(Capability)
    assert [each["capability"] for each in document["refusals"]] == [*missing]


@pytest.mark.parametrize("missing", KEYS)
def test_without_a_key_nothing_is_asked(keys, answers, monkeypatch, capsys, missing):
    monkeypatch.delenv(missing)
    assert app.main(["doctor", "--store", "--endpoint", URL]) == 2
    printed = capsys.readouterr().err
    assert f"Not set: {missing}." in printed
    assert "tested" not in answers


@pytest.mark.parametrize(
    "words",
    [
        ["--endpoint", URL],
        ["--stack", "local"],
        ["--administration", "minio"],
        ["--store", "--fix"],
        ["--store", "--tests"],
        ["--store", "--bucket", "b"],
        ["--store", "--administration", "minio"],
        ["--store", "--endpoint", URL, "--stack", "local"],
        ["--store", "--endpoint", "no-url"],
        ["--store", "--endpoint", "http://a:hidden@store"],
        ["--store", "--endpoint", URL, "--ca", "no-such-file"],
        ["--store", "--endpoint", URL, "--administration", "bucket-policy"],
        ["--store", "--endpoint", URL, "--administration", "nosuch"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_exit_2(keys, answers, capsys, words):
    assert app.main(["doctor", *words]) == 2
    assert "tested" not in answers
    assert "hidden" not in capsys.readouterr().err.replace(" ".join(words), "")


def test_the_policy_mechanism_is_the_one_asked_for(tmp_path):
    def mechanism(asked: PolicyMechanism, **more: Any) -> Any:
        return at(
            URL, region="r", bucket="b", mechanism=asked, ca=None, environ={**KEYS, **more}
        ).administration.name

    assert mechanism(PolicyMechanism.NONE) == "none"
    assert mechanism(PolicyMechanism.MINIO) == "minio"
    assert mechanism(PolicyMechanism.BUCKET_POLICY, **LIMITED) == "bucket-policy"


def test_no_secret_is_in_what_a_store_is_shown_as():
    tested = at(URL, region="r", bucket=None, mechanism=PolicyMechanism.NONE, ca=None, environ=KEYS)
    assert "hidden-away" not in repr(tested)


def test_a_certificate_is_read(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    tested = at(URL, region="r", bucket=None, mechanism=PolicyMechanism.NONE, ca=path, environ=KEYS)
    assert tested.access.ca == path.read_text()


# --- the stack's own store ----------------------------------------------------------------------------------


class Cluster:
    secret: ClassVar = {"MINIO_ROOT_USER": "root", "MINIO_ROOT_PASSWORD": "hidden-away"}

    @classmethod
    def of(cls, outputs: Any) -> "Cluster":
        return cls()

    def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        assert (namespace, name) == ("slipway-store", "store-root")
        return self.secret

    def read_config_map(self, namespace: str, name: str) -> dict[str, str]:
        return {"ca.crt": f"the CA in {namespace}/{name}"}


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make what a stack says of its store and its tenants."""
    monkeypatch.setattr(store_test, "Cluster", Cluster)

    def made(*tenants: str, kind: str = "minio", ca_config_map: str | None = None) -> Any:
        store = {"kind": kind, "ca_config_map": ca_config_map, "path_style": True}
        return SimpleNamespace(
            stack="local",
            store=SimpleNamespace(endpoint=URL, region="eu", **store),
            tenants={name: SimpleNamespace(namespace=name) for name in tenants},
        )

    return made


def test_the_stacks_store_is_tested_as_administrator(outputs, answers, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs())
    assert app.main(["doctor", "--store"]) == 0
    access = answers["tested"].access
    assert (access.endpoint, access.region, access.ca) == (URL, "eu", None)
    assert access.key == StoreKey(access_key="root", secret_key="hidden-away")
    assert answers["tested"].administration.name == "minio"
    assert "hidden-away" not in "".join(capsys.readouterr())


def test_its_ca_certificate_is_that_of_the_tenants(outputs):
    own = store_test.of_stack(outputs("team-a", ca_config_map="store-ca"))
    assert own.access.ca == "the CA in team-a/store-ca"
    with pytest.raises(UsageError, match="CA certificate is not available"):
        store_test.of_stack(outputs(ca_config_map="store-ca"))


@pytest.mark.parametrize("kind", ["s3", "external"])
def test_a_foreign_store_is_tested_by_its_endpoint(outputs, kind):
    with pytest.raises(UsageError, match="--endpoint"):
        store_test.of_stack(outputs(kind=kind))


def test_a_secret_without_a_key_is_named(outputs, monkeypatch):
    monkeypatch.setattr(Cluster, "secret", {"MINIO_ROOT_USER": "root"})
    with pytest.raises(FailedError, match="slipway-store/store-root"):
        store_test.of_stack(outputs())
