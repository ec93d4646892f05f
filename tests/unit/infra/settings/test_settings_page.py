"""docs/settings.md: up to date, complete, and its examples load."""

import textwrap

import pytest
import yaml
from support.checkout import ROOT

from infra.settings import config, examples, page
from infra.settings.models import DevSettings, KindSettings, LocalSettings, TenantSettings


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]


def leaves(value: object, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {leaf for name, each in value.items() for leaf in leaves(each, f"{path}.{name}".strip("."))}
    if isinstance(value, list):
        return {path} | {leaf for each in value for leaf in leaves(each, f"{path}[]")}
    return {path}


def test_the_committed_page_is_up_to_date():
    assert (ROOT / "docs" / "settings.md").read_text() == config.page(), (
        "run: python -m infra.settings.config --write-schema"
    )


def test_every_row_is_complete():
    listed = [row for row in rows(config.page()) if not row[0].startswith("`slipway:")]
    assert len(listed) > 40
    for name, *cells in listed:
        assert len(cells) == 4, name
        assert all(cells), name
        assert cells[3] != "`null`", f"{name} has no example"


@pytest.mark.parametrize(
    ("example", "model"),
    [
        (examples.LOCAL, LocalSettings),
        (examples.KIND, KindSettings),
        (examples.DEV, DevSettings),
        (examples.TENANT, TenantSettings),
    ],
)
def test_every_setting_of_an_example_has_a_row(example, model):
    named = {row[0].strip("`") for row in rows(config.page())}
    assert leaves(yaml.safe_load(example)) <= named
    assert set(model.model_fields) <= {name.partition(".")[0].partition("[")[0] for name in named}


@pytest.mark.parametrize("example", [examples.LOCAL, examples.KIND, examples.DEV])
def test_stack_examples_load(tmp_path, example):
    path = tmp_path / "Pulumi.mine.yaml"
    body = textwrap.indent(example, "    ")
    path.write_text(f"config:\n  slipway:secret: {{secure: v1:a:b}}\n  slipway:platform:\n{body}")
    assert config.load_file(path).environment == yaml.safe_load(example)["environment"]


def test_the_tenant_example_loads(tmp_path):
    path = tmp_path / "team-a.yaml"
    path.write_text(examples.TENANT)
    assert [member.role for member in config.load_tenant(path).members] == ["admin", "editor"]


def test_keys_next_to_a_reference_take_precedence():
    root = {"$defs": {"Part": {"type": "string", "description": "any"}}}
    schema = {"properties": {"part": {"$ref": "#/$defs/Part", "description": "this one"}}}
    (row,) = page.settings(root, schema, {"part": "x|y"})
    assert (row.meaning, row.default, row.example) == ("this one", "none", "`x|y`")
