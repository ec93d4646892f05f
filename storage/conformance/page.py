"""The results of several stores as a page: docs/store-conformance.md. Pure: reports -> text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from storage.conformance.requirements import NEEDS, requirements
from storage.conformance.result import Capability, CapabilityResult, CheckOutcome, Need, StoreReport

_WHAT: Final[Mapping[Capability, str]] = {
    Capability.CONDITIONAL_CREATE: "`PUT` with `If-None-Match: *` makes an object once",
    Capability.CONDITIONAL_REPLACE: "`PUT` with `If-Match` replaces exactly the object that was read",
    Capability.RACE: "of 16 writers at the same moment exactly one wins, for both conditions",
    Capability.MULTIPART: "parts become visible at once; an abort leaves nothing; completion on a condition",
    Capability.RANGE_READ: "exact ranges; none of an object that was replaced meanwhile",
    Capability.CHECKSUM: "the SHA-256 is kept, and an upload with another one is refused",
    Capability.LIST_CONSISTENCY: "reads and listings show the last write; pages, order, folders",
    Capability.KEYS: "spaces, Unicode, `+`, `%`, dots and 1024 bytes come back as they were given",
    Capability.WRONG_KEY: "a wrong secret, an unknown key and no key are refused, each with its own code",
    Capability.POLICY: "a key limited to `team-a/` is denied all in `team-ab/`, `team-b/` and the bucket",
    Capability.FIXED_KEYS: "a key limited to a prefix can't change itself or make keys, and its tokens "
    "open nothing; a store without such APIs passes",
    Capability.LISTING_BY_HEADER: "no header or parameter `Prefix` opens the listing of another prefix",
    Capability.VERSIONING: "overwritten and deleted objects are read by their version",
    Capability.LIFECYCLE: "rules that expire objects below a prefix, and replaced versions",
    Capability.ABANDONED_UPLOADS: "a rule that removes incomplete uploads",
}

_BEGIN: Final = """\
# What a store must do

Slipway keeps artifacts, models and data in any S3 endpoint that does what it relies on. A test shows
whether one does:

```sh
slipway doctor --store                                        # the store of stack local
export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…            # a key that may create buckets
slipway doctor --store --endpoint https://s3.example.com --region us-east-1
```

The test creates its own buckets, or with `--bucket` uses a prefix of its own in a given bucket, and deletes
everything again; it names what it could not delete. With `--bucket` no setting of the bucket is changed, so
what needs one is not tested. `--json` gives the whole report and what Slipway refuses there (`refusals`).
The exit code is 0 where the store is usable, 1 where it is not, and 2 where the test could not start
because a key or a URL is missing.

Policies are tested where somebody can limit a key to a prefix:

| `--administration` | who limits a key |
|---|---|
| `minio` | the test's key is MinIO's administrator's: a user and a policy are created and removed |
| `bucket-policy` | you created a user without permissions, and set SLIPWAY_LIMITED_ACCESS_KEY_ID and \
SLIPWAY_LIMITED_SECRET_ACCESS_KEY to its key (and SLIPWAY_LIMITED_PRINCIPAL where its name in a policy \
is different); a bucket of the test gets a policy for it |
| `none` | nobody: the policy counts as missing |

There are four results. *passed*: the store does what it should. *absent*: the store says that it does not
do this. *failed*: it does something else, such as accepting a condition and ignoring it; an error that is
not the expected refusal is a failure, too. *untested*: it could not be tried, and counts as missing.
"""

_HOW: Final = """\
## Results of three stores

Measured by the contract tests, which start each server and fail when one of these results changes. MinIO
is tested with its administrator's key, versitygw over a folder with a versioning folder and a user
without rights, moto as `moto_server`, which has no users. moto reads and then writes: a race as short as the
test's mostly passes there, but now and then two writers win, so a passed race makes it likely and not
certain that a store is correct.
"""


def page(stores: Mapping[str, StoreReport]) -> str:
    """Return the whole page; `stores` are the reports by the store's name."""
    return "\n".join([_BEGIN, *_needs(), "", _HOW, *_results(stores), "", *_verdicts(stores), ""])


def _needs() -> Iterator[str]:
    yield "## What each capability is for"
    yield ""
    yield from _table(
        ("capability", "what is tested", "needed", "without it Slipway refuses", "because"),
        [
            (
                f"`{capability}`",
                _WHAT[capability],
                entry.need,
                _refused(entry.need, entry.refuses),
                entry.why,
            )
            for capability, entry in NEEDS.items()
        ],
    )


def _refused(need: Need, refuses: Sequence[str]) -> str:
    match need:
        case Need.ALWAYS:
            return f"the whole store; it would endanger {refuses[0]}"
        case Need.IF_TESTED:
            return f"the whole store; where it was not tested, {'; '.join(refuses)}"
        case _:
            return "; ".join(refuses)


def _results(stores: Mapping[str, StoreReport]) -> Iterator[str]:
    by_name = {
        name: {result.capability: result for result in report.capabilities} for name, report in stores.items()
    }
    yield from _table(
        ("capability", "needed", *stores),
        [
            (
                f"`{capability}`",
                NEEDS[capability].need,
                *(_cell(results[capability]) for results in by_name.values()),
            )
            for capability in Capability
        ],
    )


def _cell(result: CapabilityResult) -> str:
    if result.outcome is CheckOutcome.PASSED:
        return f"passed: {result.message}" if result.capability is Capability.FIXED_KEYS else "passed"
    what = f"`{result.code}`" if result.code else result.message
    return f"**{result.outcome}**: {what}".replace("\\", "\\\\").replace("|", "\\|")


def _verdicts(stores: Mapping[str, StoreReport]) -> Iterator[str]:
    for name, report in stores.items():
        yield f"### {name}: {'usable' if report.usable else 'not usable'}"
        yield ""
        refusals = requirements(report)
        for refusal in refusals:
            yield f"- Without `{refusal.capability}` Slipway refuses {refusal.refuses}: {refusal.why}."
        if not refusals:
            yield "Slipway refuses nothing there."
        yield ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
