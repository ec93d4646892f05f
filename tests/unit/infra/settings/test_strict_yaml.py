"""Strict YAML: plain values are parsed, ambiguous ones rejected."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.settings import strict_yaml
from slipway.core.errors import UsageError


def test_plain_values_are_parsed():
    text = b"a: 1\nb: -2.5\nc: true\nd: 'no'\ne: \nf: [x, {p: q}]\ng: 1.34.4\nh: v1:abc=\n"
    assert strict_yaml.parse(text, "f.yaml") == {
        "a": 1,
        "b": -2.5,
        "c": True,
        "d": "no",
        "e": None,
        "f": ["x", {"p": "q"}],
        "g": "1.34.4",
        "h": "v1:abc=",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name: no\n", "f.yaml:1: 'no' is ambiguous"),
        (b"a: 1\nname: 010\n", "f.yaml:2: '010' is ambiguous"),
        (b"at: 1:30\n", "f.yaml:1: '1:30' is ambiguous"),
        (b"on: x\n", "f.yaml:1: 'on' is ambiguous"),
        (b"day: 2026-01-02\n", "f.yaml:1: '2026-01-02' is ambiguous"),
        (b"size: .nan\n", "f.yaml:1: '.nan' is ambiguous"),
        (b"a: 1\nb: 2\na: 3\n", "f.yaml:3: duplicate key 'a'"),
        (b"a: &x [1]\nb: *x\n", "f.yaml:1: anchors and aliases are not supported"),
        (b"a: !!python/object/apply:os.system [id]\n", "f.yaml:1: tags are not supported"),
        (b"1: a\n", "f.yaml:1: a key must be text"),
        (b"? [a]\n: b\n", "f.yaml:1: a key must be text"),
        (b"a:\n\t- b\n", "f.yaml:2: found character '\\t' that cannot start any token"),
        (b"a: b: c\n", "f.yaml:1: mapping values are not allowed here"),
        (b"", "f.yaml: must be a mapping of settings, but it is empty"),
        (b"# nothing\n", "f.yaml: must be a mapping of settings, but it is empty"),
        (b"- a\n", "f.yaml: must be a mapping of settings, but it is a list"),
        (b"word\n", "f.yaml: must be a mapping of settings, but it is a single value"),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2: but found another document"),
        (b"a: \xff\n", "f.yaml: not UTF-8 text (byte 3)"),
        (b"a: " + b"[" * 60, "f.yaml:1: nested deeper than 24 levels"),
        (b"a: " + b"x" * 300_000, "f.yaml: larger than 256 KiB"),
        (b"a: 1\x07\n", "f.yaml: special characters are not allowed"),
    ],
)
def test_errors_name_file_and_line(text, message):
    with pytest.raises(UsageError) as caught:
        strict_yaml.parse(text, "f.yaml")
    assert str(caught.value).startswith(message), str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unreadable_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.yaml: can't be read \(No such file or directory\)"):
        strict_yaml.read(tmp_path / "gone.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match=r"folder\.yaml: can't be read \(Is a directory\)"):
        strict_yaml.read(tmp_path / "folder.yaml")


def test_windows_line_ends_and_a_byte_order_mark_are_accepted():
    assert strict_yaml.parse(b"\xef\xbb\xbfa: b\r\nc: d\r\n", "f.yaml") == {"a": "b", "c": "d"}


def test_the_largest_file_takes_seconds_to_parse():
    text = b"a:\n" + b"".join(b"  k%05d: [1, 2]\n" % i for i in range(14_000))
    assert len(text) < strict_yaml.MAX_BYTES
    began = time.process_time()
    assert len(strict_yaml.parse(text, "f.yaml")["a"]) == 14_000
    assert time.process_time() - began < 20, "processor time, which other programs do not change"


@settings(max_examples=400)
@given(
    st.one_of(
        st.binary(max_size=200), st.text("ab:-[]{}&*!#'\"|> \n\t0123%@`~?,", max_size=80).map(str.encode)
    )
)
def test_any_input_parses_or_raises_a_usage_error(content):
    try:
        assert isinstance(strict_yaml.parse(content, "f.yaml"), dict)
    except UsageError as error:
        assert str(error).startswith("f.yaml")
