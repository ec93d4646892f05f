"""IAM's decision over policies, of its own words: enough to read what Slipway declares."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

Context = Mapping[str, str]


def decision(
    policies: Iterable[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Context,
    variables: Context | None = None,
) -> str:
    """Return `allow`, `deny` (by a statement) or `none`.

    `variables` are the values of `${…}` where they differ from the keys that conditions read.
    """
    known = context if variables is None else variables
    effects = {
        statement["Effect"]
        for document in policies
        for statement in document["Statement"]
        if _names(statement["Action"], action)
        and _names(statement.get("Resource", [resource]), resource)
        and _holds(statement.get("Condition", {}), context, known)
    }
    return "deny" if "Deny" in effects else "allow" if "Allow" in effects else "none"


def _names(patterns: str | list[str], value: str) -> bool:
    every = [patterns] if isinstance(patterns, str) else patterns
    return any(_like(value, pattern) for pattern in every)


def _like(value: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Context, variables: Context) -> bool:
    return all(
        _one(operator, context.get(key), _put([wanted] if isinstance(wanted, str) else wanted, variables))
        for operator, pairs in condition.items()
        for key, wanted in pairs.items()
    )


def _put(patterns: list[str], variables: Context) -> list[str]:
    """Put the variables' values in their places; an unknown one stays as it is written."""
    for name, value in variables.items():
        patterns = [pattern.replace(f"${{{name}}}", value) for pattern in patterns]
    return patterns


def _one(operator: str, found: str | None, wanted: list[str]) -> bool:
    match operator:
        case "Null":
            return (found is None) is (wanted == ["true"])
        case "StringNotEquals":
            return found not in wanted
        case "StringEquals" | "Bool":
            return found in wanted
        case "StringLike":
            return found is not None and any(_like(found, pattern) for pattern in wanted)
        case "NumericLessThan":
            return found is not None and float(found) < float(wanted[0])
    raise AssertionError(f"the evaluator does not know {operator}")
