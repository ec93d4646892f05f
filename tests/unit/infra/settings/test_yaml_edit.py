"""One value of a YAML file, changed in place: the rest of the text stays as its writer left it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import strict_yaml, yaml_edit
from slipway.core.errors import FailedError, UsageError

TENANT = """\
# The first team.
name: team-a   # its namespace too

members:
  - user: ada@example.org
    role: admin
key_generation: 3  # 2026-01
quota:
  cpu: "8"
"""
STACK = """\
config:
  slipway:secret:
    secure: v1:abc:def
  # What the platform is.
  slipway:platform:
    environment: local
encryptionsalt: v1:x:y
"""


def edit(text: str, path: str, value: int | str | None) -> str:
    return yaml_edit.edited(text, tuple(path.split(".")), value, "tenants/team-a.yaml")


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    assert edit(TENANT, "key_generation", 4) == TENANT.replace("tion: 3  #", "tion: 4  #")


@pytest.mark.parametrize("value", ["12", "yes", "@ml", "a: b", "1:30", "arn:aws:eks:eu:1:cluster/ml", "#a"])
def test_a_text_that_yaml_would_read_otherwise_is_quoted(value: str) -> None:
    changed = edit(TENANT, "name", value)
    assert strict_yaml.parse(changed.encode(), "f")["name"] == value
    assert strict_yaml.parse(edit(TENANT, "quota.pods", value).encode(), "f")["quota"]["pods"] == value


def test_a_key_is_added_and_removed_again_without_a_trace() -> None:
    added = edit(TENANT, "key_rotation", "overlap")
    assert added == TENANT.replace("# 2026-01\n", "# 2026-01\nkey_rotation: overlap\n")
    assert edit(added, "key_rotation", None) == TENANT


def test_a_mapping_that_lacks_is_added_inside_its_own() -> None:
    added = edit(STACK, "config.slipway:platform.store.root_key_generation", 2)
    assert added == STACK.replace(
        "environment: local\n", "environment: local\n    store:\n      root_key_generation: 2\n"
    )
    again = edit(added, "config.slipway:platform.store.root_key_generation", 3)
    assert again == added.replace("generation: 2", "generation: 3")


def test_line_ends_and_a_missing_last_one_are_kept() -> None:
    assert edit("name: a\r\n", "key_generation", 2) == "name: a\r\nkey_generation: 2\r\n"
    assert edit("name: a", "key_generation", 2) == "name: a\nkey_generation: 2\n"


def test_what_is_so_already_is_left_alone() -> None:
    assert edit("{name: a, key_generation: 2}", "key_generation", 2) == "{name: a, key_generation: 2}"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("{name: a, key_generation: 1}\n", "key_rotation", "overlap"),
        ("name: a\nkey_generation: 1\nkey_rotation:\n  overlap\n", "key_rotation", None),
        ("name: a\nstore: {}\n", "store.root_key_generation", 2),
        ("name: a\nstore: none\n", "store.root_key_generation", 2),
    ],
)
def test_a_setting_without_its_own_line_is_refused(text: str, path: str, value: int | str | None) -> None:
    with pytest.raises(UsageError) as refused:
        edit(text, path, value)
    assert path in refused.value.fix


_WORDS = st.from_regex(r"[a-z][a-z_]{0,6}", fullmatch=True).filter(lambda word: word not in {"y", "n", "on",
    "no", "off", "yes", "true", "false", "null"})  # fmt: skip
_COMMENTS = st.sampled_from(["", "  # why", "\n# a line of its own", "\n"])


@given(
    st.lists(st.tuples(_WORDS, st.integers(0, 9), _COMMENTS), min_size=1, unique_by=lambda e: e[0]), st.data()
)
def test_an_edit_changes_one_line_and_nothing_else(
    entries: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    text = "".join(f"{key}: {value}{comment}\n" for key, value, comment in entries)
    key = data.draw(st.sampled_from([entry[0] for entry in entries]) | _WORDS)
    value = data.draw(st.integers(10, 99) | st.none())
    if value is None and [entry[0] for entry in entries] == [key]:
        return  # An empty file is no settings file.
    after = edit(text, key, value)
    lines, others = (
        set(text.splitlines()),
        [line for line in after.splitlines() if not line.startswith(f"{key}:")],
    )
    assert set(others) <= lines
    wanted = strict_yaml.parse(text.encode(), "x") | ({} if value is None else {key: value})
    if value is None:
        wanted.pop(key, None)
    assert strict_yaml.parse(after.encode(), "x") == wanted


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "team-a.yaml"
    path.write_text("name: b\n")
    with pytest.raises(FailedError, match="changed meanwhile"):
        yaml_edit.write(path, "name: a\n", "name: c\n")
    assert path.read_text() == "name: b\n"
    path.chmod(0o640)
    yaml_edit.write(path, "name: b\n", "name: c\r\n")
    assert path.read_bytes() == b"name: c\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["team-a.yaml"]
