"""The results of a conformance test: checks, the capabilities they test, and the consequences. Pure."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, computed_field


class Capability(StrEnum):
    """What a store can do, or can't."""

    CONDITIONAL_CREATE = "conditional-create"
    CONDITIONAL_REPLACE = "conditional-replace"
    RACE = "race"
    MULTIPART = "multipart"
    RANGE_READ = "range-read"
    CHECKSUM = "checksum"
    LIST_CONSISTENCY = "list-consistency"
    KEYS = "keys"
    WRONG_KEY = "wrong-key"
    POLICY = "policy"
    FIXED_KEYS = "fixed-keys"
    LISTING_BY_HEADER = "listing-by-header"
    VERSIONING = "versioning"
    LIFECYCLE = "lifecycle"
    ABANDONED_UPLOADS = "abandoned-uploads"


class CheckOutcome(StrEnum):
    """How a check ended; from good to bad, and a capability is as good as its worst check."""

    PASSED = "passed"
    UNTESTED = "untested"
    """It could not be tried here; a decision must treat it as missing."""

    ABSENT = "absent"
    """The store itself says that it doesn't do this."""

    FAILED = "failed"
    """The store does not do what it should."""


_WORSE = tuple(CheckOutcome)


class Need(StrEnum):
    """How much of Slipway depends on a capability."""

    ALWAYS = "always"
    """Without it the store is not usable."""

    IF_TESTED = "if tested"
    """A store that fails is not usable; where it could not be tested, Slipway refuses some things."""

    PARTLY = "partly"
    """Without it Slipway refuses some things there."""


class Frozen(BaseModel):
    """Strict and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckResult(Frozen):
    """How one check ended."""

    capability: Capability
    name: str
    holds: str
    """What must hold, as a sentence."""

    outcome: CheckOutcome
    code: str | None = None
    """The store's own code for what went wrong, such as `NotImplemented`."""

    message: str = ""
    seconds: float = 0.0


class CapabilityResult(Frozen):
    """The combined result of one capability's checks."""

    capability: Capability
    outcome: CheckOutcome
    code: str | None
    message: str
    need: Need
    refuses: tuple[str, ...]
    """What Slipway refuses to do at this store; empty where the store has the capability."""

    @property
    def fatal(self) -> bool:
        """Whether the store is not usable without it."""
        match self.need:
            case Need.ALWAYS:
                return self.outcome is not CheckOutcome.PASSED
            case Need.IF_TESTED:
                return self.outcome in (CheckOutcome.FAILED, CheckOutcome.ABSENT)
            case _:
                return False


class Refusal(Frozen):
    """One thing that Slipway doesn't do at a store, and why."""

    capability: Capability
    refuses: str
    why: str
    fatal: bool
    """Whether the store is not usable at all."""


class StoreReport(Frozen):
    """The complete result of testing one store."""

    # `usable` is written for readers of the JSON, and computed again when it is read back.
    model_config = ConfigDict(extra="ignore", frozen=True)

    endpoint: str | None
    region: str
    administration: str
    """How tenants' keys were limited for the test; `none` where that was not possible."""

    checks: tuple[CheckResult, ...]
    left_behind: tuple[str, ...] = ()
    """Buckets, prefixes and users of the test that could not be removed."""

    capabilities: tuple[CapabilityResult, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def usable(self) -> bool:
        """Whether Slipway can use the store at all."""
        return not any(result.fatal for result in self.capabilities)


def worst(checks: tuple[CheckResult, ...]) -> CheckResult:
    """Return the worst check, which decides; the first of equal ones."""
    return max(checks, key=lambda check: _WORSE.index(check.outcome))
