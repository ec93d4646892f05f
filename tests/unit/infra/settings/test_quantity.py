"""Quantities in canonical form."""

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
def test_canonical_form_is_equal_and_idempotent(count: int, unit: str) -> None:
    canonical = quantity.canonical(f"{count}{unit}")
    assert quantity.value(canonical) == quantity.value(f"{count}{unit}")
    assert quantity.canonical(canonical) == canonical


def test_settings_are_stored_in_canonical_form() -> None:
    settings = ServingSettings(model_memory="2048Mi", model_cpu="0.5")
    assert (settings.model_memory, settings.model_cpu) == ("2Gi", "500m")


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("model_memory", "64Mi", "64Mi is below 128Mi, the minimum for a model server"),
        ("model_cpu", "50m", "50m is below 100m"),
        ("model_cpu", "0.1005", "not a multiple of 1/1000"),
    ],
)
def test_limits_below_the_minimum_are_rejected(field: str, text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ServingSettings(**{field: text})
