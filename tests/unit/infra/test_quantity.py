"""Quantities in the form that Kubernetes itself writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.settings import quantity
from infra.settings.models import ServingSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "1"), ("1000m", "1"), ("0.5", "500m"), ("1500m", "1500m"), ("2.0", "2"), ("0", "0"),
        ("1Gi", "1Gi"), ("1024Mi", "1Gi"), ("0.5Gi", "512Mi"), ("1.5Gi", "1536Mi"), ("1000M", "1G"),
    ],
)  # fmt: skip
def test_canonical_form(text: str, expected: str) -> None:
    assert quantity.canonical(text) == expected


@given(st.integers(1, 10**6), st.sampled_from(["m", "", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]))
def test_canonical_form_has_the_same_value_and_stays(count: int, unit: str) -> None:
    found = quantity.canonical(f"{count}{unit}")
    assert quantity.value(found) == quantity.value(f"{count}{unit}")
    assert quantity.canonical(found) == found


def test_settings_are_kept_in_the_canonical_form() -> None:
    settings = ServingSettings(model_memory="2048Mi", model_cpu="0.5")
    assert (settings.model_memory, settings.model_cpu) == ("2Gi", "500m")


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("model_memory", "64Mi", "64Mi is below 128Mi, which a model server needs"),
        ("model_cpu", "50m", "50m is below 100m"),
        ("model_cpu", "0.1005", "finer than a thousandth"),
    ],
)
def test_settings_that_no_server_can_live_with_are_refused(field: str, text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ServingSettings(**{field: text})
