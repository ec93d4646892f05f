"""What Slipway refuses to do at a store without a capability. Pure, and the only place that defines it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from storage.conformance.result import (
    Capability,
    CapabilityResult,
    CheckOutcome,
    CheckResult,
    Need,
    Refusal,
    StoreReport,
    worst,
)


@dataclass(frozen=True)
class _Entry:
    need: Need
    refuses: tuple[str, ...]
    why: str


NEEDS: Final[Mapping[Capability, _Entry]] = MappingProxyType(
    {
        Capability.CONDITIONAL_CREATE: _Entry(
            Need.ALWAYS,
            ("every promotion (`slipway model promote`)",),
            "a second writer could replace a model version or an entry of the promotion log",
        ),
        Capability.CONDITIONAL_REPLACE: _Entry(
            Need.ALWAYS,
            ("every promotion and rollback",),
            "an alias is replaced by compare-and-set; otherwise one of two promotions is lost",
        ),
        Capability.RACE: _Entry(
            Need.ALWAYS,
            ("every promotion",),
            "of writers at the same moment exactly one must win",
        ),
        Capability.MULTIPART: _Entry(
            Need.ALWAYS,
            ("large models and large data",),
            "they are uploaded in parts, which must become visible at once or never",
        ),
        Capability.RANGE_READ: _Entry(
            Need.ALWAYS,
            ("large downloads",),
            "they read ranges in parallel, which must belong to the same object",
        ),
        Capability.CHECKSUM: _Entry(
            Need.ALWAYS,
            ("every upload of a model or of data",),
            "the store must refuse bytes that were changed in transit",
        ),
        Capability.LIST_CONSISTENCY: _Entry(
            Need.ALWAYS,
            ("publishing and collecting model versions",),
            "a listing that omits an object, or shows a deleted one, leads to a wrong manifest",
        ),
        Capability.KEYS: _Entry(
            Need.ALWAYS,
            ("run artifacts, whose names their authors choose",),
            "an object must be found again under the name it was given",
        ),
        Capability.WRONG_KEY: _Entry(
            Need.ALWAYS,
            ("keeping anything of value",),
            "anyone who knows an access key could read and write everything that it opens",
        ),
        Capability.POLICY: _Entry(
            Need.PARTLY,
            ("more than one tenant", "separate keys of runs, serving and promotion"),
            "a key can't be limited to a prefix, so tenants would read and write one another's objects",
        ),
        Capability.FIXED_KEYS: _Entry(
            Need.IF_TESTED,
            ("more than one tenant",),
            "anyone who has a key could lock the platform out, or keep a key that survives a rotation",
        ),
        Capability.LISTING_BY_HEADER: _Entry(
            Need.PARTLY,
            ("keeping the names of a tenant's objects from other tenants",),
            "a key that may list below its prefix can list every prefix of the bucket, and read none of it",
        ),
        Capability.VERSIONING: _Entry(
            Need.PARTLY,
            ("keeping input data that was overwritten or deleted",),
            "the store keeps no older version of an object",
        ),
        Capability.LIFECYCLE: _Entry(
            Need.PARTLY,
            ("run retention (`run_retention_days`)",),
            "the store expires nothing by age, so something else must delete old runs",
        ),
        Capability.ABANDONED_UPLOADS: _Entry(
            Need.PARTLY,
            ("a rule about incomplete uploads",),
            "the store accepts none, so it must remove them by itself, as MinIO does, or somebody else must",
        ),
    }
)
"""For every capability: how far it is needed, what is refused without it, and why."""


def capabilities(checks: Iterable[CheckResult]) -> tuple[CapabilityResult, ...]:
    """Combine the checks by capability; a capability without any check counts as untested."""
    results = tuple(checks)
    return tuple(_result(capability, results) for capability in Capability)


def _result(capability: Capability, checks: tuple[CheckResult, ...]) -> CapabilityResult:
    own = tuple(check for check in checks if check.capability is capability)
    decides = worst(own) if own else None
    outcome = decides.outcome if decides else CheckOutcome.UNTESTED
    entry = NEEDS[capability]
    return CapabilityResult(
        capability=capability,
        outcome=outcome,
        code=decides.code if decides else None,
        message=decides.message if decides else "nothing was tried",
        need=entry.need,
        refuses=() if outcome is CheckOutcome.PASSED else entry.refuses,
    )


def requirements(report: StoreReport) -> tuple[Refusal, ...]:
    """Return everything that Slipway refuses to do at the store; what was not tested counts as missing."""
    return tuple(
        Refusal(
            capability=result.capability,
            refuses=refused,
            why=NEEDS[result.capability].why,
            fatal=result.fatal,
        )
        for result in report.capabilities
        for refused in result.refuses
    )
