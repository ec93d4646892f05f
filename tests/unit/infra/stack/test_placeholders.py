"""The template's examples are refused by name, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.recorded_platform import IMAGES

from infra.settings.models import DevSettings
from infra.stack.placeholders import refuse_placeholders
from slipway.core.errors import UsageError

ROOT = Path(__file__).parents[4]


def _template() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "stacks" / "dev.yaml").read_text())
    settings: dict[str, Any] = document["config"]["slipway:platform"]
    return settings


def _filled() -> dict[str, Any]:
    return {
        **_template(),
        "cluster": {"context": "ml-1"},
        "images": {kind: f"registry.acme.test/{kind}@sha256:{'1' * 64}" for kind in IMAGES},
        "endpoints": {
            "kind": "urls",
            "gateway": "https://m.acme.test",
            "store": "https://s.acme.test",
            "kfp": "https://p.acme.test",
        },
    }


def test_every_example_of_the_template_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        refuse_placeholders(DevSettings.model_validate(_template()), "Pulumi.dev.yaml")
    named = ["cluster.context", *(f"images.{kind}" for kind in IMAGES)]
    assert caught.value.what == f"Pulumi.dev.yaml: {', '.join(named)}: still an example of the template."
    assert "slipway images push" in caught.value.fix


def test_filled_settings_pass_and_one_example_is_found() -> None:
    refuse_placeholders(DevSettings.model_validate(_filled()), "Pulumi.dev.yaml")
    settings = _filled()
    settings["images"]["gateway"] = f"registry.acme.test/gateway@sha256:{'0' * 64}"
    with pytest.raises(UsageError, match=r"^Pulumi\.dev\.yaml: images\.gateway: still"):
        refuse_placeholders(DevSettings.model_validate(settings), "Pulumi.dev.yaml")


def test_the_backend_must_be_named() -> None:
    settings = {key: value for key, value in _filled().items() if key != "kfp"}
    with pytest.raises(ValueError, match=r"kfp\.kind: missing; `embedded` is Slipway's own server"):
        DevSettings.model_validate(settings)
