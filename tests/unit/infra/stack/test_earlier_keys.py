"""Settings that name keys before the present ones are refused, and nothing else is."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from infra.settings import examples
from infra.settings.models import TenantSettings
from infra.stack import check
from infra.stack.earlier_keys import refuse_earlier_keys
from infra.stack.stack import Stack
from slipway.core.errors import UsageError
from storage.settings import ExternalSettings, MinioSettings

GENERATIONS = {"root_key_generation": 3, "certificate_generation": 3}
HELD = {"store": GENERATIONS, "tenants": {"team-a": {"key_generation": 3}}}
TENANT = TenantSettings(name="team-a", key_generation=3)


@pytest.mark.parametrize("name", GENERATIONS)
def test_an_earlier_generation_of_the_stores_own_is_refused(name: str) -> None:
    store = MinioSettings(**GENERATIONS | {name: 2})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"store.{name}: 2 was replaced by 3") as refused:
        refuse_earlier_keys(HELD, "Pulumi.local.yaml", store, [TENANT])
    assert refused.value.exit_code == 2
    assert f"Set store.{name}: 3" in refused.value.fix


def test_an_earlier_generation_of_a_tenants_keys_is_refused() -> None:
    earlier = TenantSettings(name="team-a", key_generation=2)
    with pytest.raises(UsageError, match="key_generation: 2 was replaced by 3"):
        refuse_earlier_keys(HELD, "Pulumi.local.yaml", MinioSettings(**GENERATIONS), [earlier])  # type: ignore[arg-type]


@pytest.mark.parametrize("held", [{}, {"store": {}, "tenants": {}}, HELD])
@pytest.mark.parametrize("more", [0, 1])
def test_present_and_later_generations_pass(held: dict[str, Any], more: int) -> None:
    store = MinioSettings(root_key_generation=3 + more, certificate_generation=3 + more)
    tenant = TenantSettings(name="team-a", key_generation=3 + more)
    refuse_earlier_keys(held, "Pulumi.local.yaml", store, [tenant])


def test_another_kind_of_store_has_no_generations_of_its_own() -> None:
    store = ExternalSettings(kind="external", endpoint="https://s3.example.org", lifecycle="operator")
    refuse_earlier_keys(HELD, "Pulumi.dev.yaml", store, [TENANT])


@pytest.mark.parametrize("command", ["up", "preview"])
@pytest.mark.parametrize(("generation", "begins"), [(2, False), (3, True)])
def test_up_and_preview_refuse_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: int, begins: bool, command: str
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    (tmp_path / "tenants").mkdir()
    values = yaml.safe_load(examples.DEV)
    values["store"] |= {"root_key_generation": generation, "certificate_generation": 3}
    config = {"slipway:platform": values, "slipway:secret": {"secure": "v1:a:b"}}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    stack, begun = Stack("dev", tmp_path, {}), []
    exported = {"deployment": {"resources": [{"type": "pulumi:pulumi:Stack", "outputs": HELD}]}}
    monkeypatch.setattr(check, "refuse_cluster", lambda *_: SimpleNamespace(api=None))
    monkeypatch.setattr(check, "refuse_foreign", lambda *_, **__: None)
    monkeypatch.setattr(Stack, "exists", lambda _: True)
    monkeypatch.setattr(Stack, "_ask_stack", lambda *_: json.dumps(exported))
    monkeypatch.setattr(Stack, "_operate", lambda *arguments, **_: begun.append(arguments))
    if begins:
        getattr(stack, command)()
    else:
        with pytest.raises(UsageError, match="root_key_generation: 2 was replaced by 3"):
            getattr(stack, command)()
    assert bool(begun) is begins
