"""What follows from a conformance test, and how a store's answers are judged; no store is asked."""

import subprocess
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from slipway.core.errors import UsageError
from storage.conformance import (
    Capability,
    CheckOutcome,
    CheckResult,
    Need,
    NoAdministration,
    StoreReport,
    check_endpoint,
    requirements,
)
from storage.conformance.administration import BucketPolicyAdministration, statements
from storage.conformance.checking import Check, check, must, refused
from storage.conformance.exceptions import UntestedError, WrongError
from storage.conformance.page import page
from storage.conformance.requirements import NEEDS, capabilities
from storage.conformance.result import worst
from storage.conformance.runner import CHECKS
from storage.keys import StoreKey


def result(
    capability: Capability, outcome: CheckOutcome = CheckOutcome.PASSED, code: str | None = None
) -> CheckResult:
    return CheckResult(capability=capability, name="n", holds="It holds.", outcome=outcome, code=code)


def report(**missing: CheckOutcome) -> StoreReport:
    """Return a report in which all is well but for these capabilities, `_` for a hyphen."""
    checks = tuple(
        result(each, missing.get(each.replace("-", "_"), CheckOutcome.PASSED)) for each in Capability
    )
    return StoreReport(
        endpoint="http://store:1",
        region="us-east-1",
        administration="none",
        checks=checks,
        capabilities=capabilities(checks),
    )


def error(code: str, status: int) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "No."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "PutObject")


# --- what is needed -----------------------------------------------------------------------------------------


def test_every_capability_is_checked_and_every_need_told():
    assert set(NEEDS) == set(Capability) == {each.capability for each in CHECKS}
    assert all(entry.why for entry in NEEDS.values())
    assert {need: {bool(e.refuses) for e in NEEDS.values() if e.need is need} for need in Need} == {
        Need.ALWAYS: {True},
        Need.IF_TESTED: {True},
        Need.PARTLY: {True},
    }


def test_every_check_has_a_name_of_its_own_and_says_what_holds():
    assert len({each.name for each in CHECKS}) == len(CHECKS)
    assert all(each.holds.endswith(".") for each in CHECKS)


def test_where_all_is_well_nothing_is_refused():
    assert report().usable
    assert requirements(report()) == ()


@pytest.mark.parametrize("outcome", [CheckOutcome.FAILED, CheckOutcome.ABSENT, CheckOutcome.UNTESTED])
@pytest.mark.parametrize("capability", Capability)
def test_what_is_not_proven_is_refused(capability, outcome):
    found = report(**{capability.replace("-", "_"): outcome})
    need = NEEDS[capability].need
    fatal = need is Need.ALWAYS or (need is Need.IF_TESTED and outcome is not CheckOutcome.UNTESTED)
    assert found.usable is not fatal
    refusals = requirements(found)
    assert [refusal.refuses for refusal in refusals] == list(NEEDS[capability].refuses)
    assert {refusal.fatal for refusal in refusals} <= {fatal}


def test_what_was_never_tried_counts_as_missing():
    found = capabilities([])
    assert {each.outcome for each in found} == {CheckOutcome.UNTESTED}
    assert "more than one tenant" in {refused for each in found for refused in each.refuses}


def test_a_capability_is_as_good_as_its_worst_check():
    checks = [result(Capability.RACE, each) for each in CheckOutcome]
    for length in range(1, len(checks) + 1):
        assert worst(tuple(checks[:length])).outcome is checks[length - 1].outcome
    [race] = [each for each in capabilities(checks) if each.capability is Capability.RACE]
    assert race.outcome is CheckOutcome.FAILED


def test_a_report_is_json_and_tells_whether_the_store_is_usable():
    found = report(race=CheckOutcome.FAILED)
    assert '"usable":false' in found.model_dump_json()
    assert StoreReport.model_validate_json(found.model_dump_json()) == found


def test_a_page_shows_every_capability_of_every_store():
    text = page({"good": report(), "bad": report(policy=CheckOutcome.FAILED, race=CheckOutcome.ABSENT)})
    assert "### good: usable" in text
    assert "### bad: not usable" in text
    assert "Slipway refuses more than one tenant" in text
    assert [line.count("|") for line in text.splitlines() if line.startswith("| `race`")] == [6, 5]


# --- how an answer is judged --------------------------------------------------------------------------------


def test_the_expected_refusal_is_one():
    with refused("a write", "AccessDenied", status=403):
        raise error("AccessDenied", 403)


@pytest.mark.parametrize(
    ("code", "status"), [("InternalError", 500), ("AccessDenied", 400), ("NoSuchKey", 404), ("SlowDown", 403)]
)
def test_another_error_is_no_refusal(code, status):
    message = f"a write: refused with {status} {code}, not with 403 AccessDenied"
    with pytest.raises(WrongError, match=message), refused("a write", "AccessDenied", status=403):
        raise error(code, status)


def test_success_is_no_refusal():
    with pytest.raises(WrongError, match="a write: not refused"), refused("a write", "X", status=403):
        pass


@pytest.mark.parametrize(
    ("raised", "outcome", "code"),
    [
        (WrongError("it is otherwise"), CheckOutcome.FAILED, None),
        (UntestedError("no key"), CheckOutcome.UNTESTED, None),
        (error("NotImplemented", 501), CheckOutcome.ABSENT, "NotImplemented"),
        (error("SomethingOfItsOwn", 501), CheckOutcome.ABSENT, "SomethingOfItsOwn"),
        (error("MethodNotAllowed", 405), CheckOutcome.ABSENT, "MethodNotAllowed"),
        (error("AccessDenied", 403), CheckOutcome.FAILED, "AccessDenied"),
        (error("InternalError", 500), CheckOutcome.FAILED, "InternalError"),
        (EndpointConnectionError(endpoint_url="http://store:1"), CheckOutcome.FAILED, None),
    ],
)
def test_whatever_a_store_answers_becomes_a_result(raised, outcome, code):
    def work(_context: Any) -> None:
        raise raised

    found = Check(Capability.KEYS, "any", "It holds.", work).run(None)  # type: ignore[arg-type]
    assert (found.outcome, found.code) == (outcome, code)
    assert found.message


def test_a_check_is_named_after_its_function():
    @check(Capability.KEYS)
    def it_keeps_names(_context: Any) -> str:
        """Names are kept.

        More is written here.
        """
        return "ten names"

    assert (it_keeps_names.name, it_keeps_names.holds) == ("it-keeps-names", "Names are kept.")
    found = it_keeps_names.run(None)  # type: ignore[arg-type]
    assert (found.outcome, found.message) == (CheckOutcome.PASSED, "ten names")
    with pytest.raises(WrongError, match="not so"):
        must([], "not so")


# --- policies -----------------------------------------------------------------------------------------------


def test_a_limited_key_is_named_nothing_but_its_prefix():
    objects, listing = statements("b", "run/team-a/")
    assert objects["Resource"] == ["arn:aws:s3:::b/run/team-a/*"]
    assert listing["Action"] == ["s3:ListBucket"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["run/team-a/*"]}}


def test_a_bucket_policy_names_its_user():
    key = StoreKey(access_key="user", secret_key="hidden-away")
    for principal, named in ((None, "user"), ("arn:aws:iam::1:user/u", "arn:aws:iam::1:user/u")):
        made = BucketPolicyAdministration(None, key, principal).document("b", "p/")  # type: ignore[arg-type]
        assert {str(each["Principal"]) for each in made["Statement"]} == {str({"AWS": [named]})}
        assert "hidden-away" not in str(made)


def test_without_an_administrator_policies_are_untested():
    with pytest.raises(UntestedError, match="administrator"):
        NoAdministration().limited_key("b", "p/")
    assert NoAdministration().remove() == []


# --- where it runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "good", [None, "http://127.0.0.1:9000", "https://s3.example.com", "https://[::1]:1/"]
)
def test_an_endpoint_is_scheme_host_and_port(good):
    check_endpoint(good)


@pytest.mark.parametrize(
    "bad",
    [
        *("", "store:9000", "ftp://store", "http://", "http://store:port", "http://store:99999", "http://["),
        *("http://store/bucket", "http://store?x=1", "http://store#x", "http://key:hidden-away@store"),
    ],
)
def test_what_is_no_endpoint_is_refused_without_its_key(bad):
    with pytest.raises(UsageError) as caught:
        check_endpoint(bad)
    assert "hidden-away" not in str(caught.value)


def test_a_job_in_a_cluster_can_run_it():
    """Its image has boto3, minio and pydantic, and none of these."""
    foreign = (
        "httpx",
        "rich",
        "typer",
        "pulumi",
        "kubernetes",
        "kfp",
        "yaml",
        "slipway.cli",
        "slipway.operations",
        "infra",
        "embedded",
    )
    code = f"import sys; sys.modules.update(dict.fromkeys({foreign!r})); import storage.conformance"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
