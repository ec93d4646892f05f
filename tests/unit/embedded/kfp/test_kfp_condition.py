"""Conditions follow CEL's rules, including cases that the SDK's local runner gets wrong."""

import contextlib
import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.kfp.condition import parse
from embedded.kfp.condition_syntax import ConditionError

P = "inputs.parameter_values['p']"
INTS = st.integers(-(2**63), 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ORDER = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
         ">=": operator.ge}  # fmt: skip


def holds(text: str, **parameters: object) -> bool:
    return parse(text).evaluate(parameters)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        (f"{P} >= 0.85", 0.85, True),
        (f"{P} >= 0.85", 0.8499999, False),
        (f"double(int({P})) > 2.5", 3, True),
        (f"int({P}) == 3", 3.0, True),
        (f"{P} == 1", 1.0, True),
        (f"{P} == 1", True, ConditionError),
        (f"{P} == 'it\\'s \"so\"'", 'it\'s "so"', True),
        (f"{P} == 'x' || true", "'; import os #", True),
        (f"{P} == 'x'", "x' == 'x' || 'a", False),
        (f"{P} == r'a\\b'", "a\\b", True),
        (f"{P} == '\\u00e9\\x41\\n'", "éA\n", True),
        (f"{P} == true", True, True),
        (f"!({P} == true)", True, False),
        (f"!({P} == 1) && {P} == 2", 2, True),
        (f"{P} < '9'", "10", True),
        (f"{P} == 'a'", None, ConditionError),
        (f"{P} == 'a'", ["a"], ConditionError),
        (f"{P} > '1'", 2, ConditionError),
        (P, 1, ConditionError),
        (f"{P} >= 0.5", math.nan, False),
        (f"{P} != 0.5", math.nan, True),
        (f"int({P}) == 1", math.inf, ConditionError),
        (f"int({P}) == 1", 1e19, ConditionError),
        (f"int({P}) == -1", -1.9, True),
        (f"double({P}) == 1.5", "1.5", True),
        (f"double({P}) == 1.5", "1_5", ConditionError),
        (f"int({P}) == 1", "1.5", ConditionError),
        (f"{P} == -9223372036854775808", -(2**63), True),
        (f"{P} == 9223372036854775807", 2.0**63, False),
    ],
)
def test_values(text: str, value: object, expected: object) -> None:
    if expected is ConditionError:
        with pytest.raises(ConditionError):
            holds(text, p=value)
    else:
        assert holds(text, p=value) is expected


@pytest.mark.parametrize(
    "text",
    [
        "", "1 ==", "(1 == 1", "1 == 1)", "'it's'", "1 = 1", "x == 1", "inputs.parameter_values[p] == 1",
        "inputs.parameter_values['p'] in [1]", "1 + 1 == 2", "size('a') == 1", "'a' == 'b' ? true : false",
        "__import__('os')", "1 == 99999999999999999999", "'\\q' == 'q'", "1 == 1 1",
        "(" * 200 + "true" + ")" * 200,
        "\x00", "!" * 500 + "true",
    ],
)  # fmt: skip
def test_unsupported_syntax_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        parse(text)


def test_a_missing_parameter_is_an_error() -> None:
    with pytest.raises(ConditionError, match="'p' has no value"):
        holds(f"{P} == 1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true || {e}", True), ("{e} || true", True), ("false && {e}", False), ("{e} && false", False)],
)
def test_a_decisive_side_overrides_an_error(text: str, expected: bool) -> None:
    assert holds(text.format(e=f"{P} == 1")) is expected


@pytest.mark.parametrize("text", ["false || {e}", "{e} || false", "true && {e}", "{e} && true"])
def test_an_error_without_a_decisive_side_is_raised(text: str) -> None:
    with pytest.raises(ConditionError):
        holds(text.format(e=f"{P} == 1"))


@given(st.one_of(INTS, FINITE), st.one_of(INTS, FINITE), st.sampled_from(sorted(ORDER)))
def test_numbers_compare_by_their_mathematical_value(left: float, right: float, op: str) -> None:
    text = f"inputs.parameter_values['l'] {op} inputs.parameter_values['r']"
    assert holds(text, l=left, r=right) is ORDER[op](left, right)


@given(INTS)
def test_every_int_is_parsed(value: int) -> None:
    assert holds(f"{P} == {value}", p=value)


@given(st.floats(min_value=0, allow_infinity=False))
def test_every_double_is_parsed(value: float) -> None:
    assert holds(f"{P} == {value!r}", p=value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_escaped_string_is_parsed_as_a_literal(value: str) -> None:
    quoted = "".join(f"\\U{ord(letter):08x}" if not letter.isalnum() else letter for letter in value)
    assert holds(f"{P} == '{quoted}'", p=value)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(ConditionError):
        parse(text)


TREES = st.recursive(
    st.booleans().map(lambda value: (str(value).lower(), value)),
    lambda inner: st.one_of(
        inner.map(lambda one: (f"!({one[0]})", not one[1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) && ({two[1][0]})", two[0][1] and two[1][1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) || ({two[1][0]})", two[0][1] or two[1][1])),
    ),
)


@given(TREES)
def test_logic_agrees_with_python(tree: tuple[str, bool]) -> None:
    assert holds(tree[0]) is tree[1]
