"""What a bucket's lifecycle deletes: the rules that Slipway sets, and whether a rule deletes a key. Pure.

    artifacts   runs expire by age, from the settings
    models      nothing ever expires; garbage collection deletes what is not needed
    data        replaced versions expire, current ones never

Rules are read as the S3 API returns them. In doubt an object counts as expiring: a rule that requires a
tag or a size may come to match any object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.layout import Buckets

NONCURRENT_DAYS: Final = 30
"""How long a replaced version of input data is kept."""

_ARCHIVES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects can't be read until they are restored."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A lifecycle rule of Slipway; it covers its whole bucket."""

    name: str
    days: int | None = None
    """Age in days at which current objects are deleted."""

    noncurrent_days: int | None = None
    """Days after its replacement at which an old version is deleted."""


def rules_of(buckets: Buckets, run_retention_days: int) -> dict[str, tuple[Rule, ...]]:
    """Return the rules that Slipway sets, by bucket."""
    return {
        buckets.artifacts: (Rule(name="slipway-runs", days=run_retention_days),),
        buckets.models: (),
        buckets.data: (Rule(name="slipway-replaced-data", noncurrent_days=NONCURRENT_DAYS),),
    }


def expiring_rule(rules: Sequence[Mapping[str, Any]], prefix: str) -> str | None:
    """Return the id of a rule that deletes objects below `prefix`, now or later; None if none does.

    `prefix` may also be a whole key. `rules` are those of the bucket, as the S3 API returns them.
    """
    for rule in rules:
        covered = _prefix(rule)
        meets = prefix.startswith(covered) or covered.startswith(prefix)
        if rule.get("Status") != "Disabled" and meets and _removes_current(rule):
            return str(rule.get("ID") or f"of prefix {covered!r}")
    return None


def _prefix(rule: Mapping[str, Any]) -> str:
    """The prefix of a rule, in any of the API's three forms; tags and sizes are ignored."""
    selection = rule.get("Filter") or {}
    return str(selection.get("And", {}).get("Prefix") or selection.get("Prefix") or rule.get("Prefix") or "")


def _removes_current(rule: Mapping[str, Any]) -> bool:
    """Whether it removes current objects, or moves them to where they can't be read."""
    expiration = rule.get("Expiration")
    if expiration is not None and not _marker_only(expiration):
        return True
    moves = [*rule.get("Transitions", ()), *([rule["Transition"]] if "Transition" in rule else ())]
    return any(move.get("StorageClass") in _ARCHIVES for move in moves)


def _marker_only(expiration: Mapping[str, Any]) -> bool:
    """Whether it removes only delete markers that hide nothing any more."""
    return set(expiration) == {"ExpiredObjectDeleteMarker"}
