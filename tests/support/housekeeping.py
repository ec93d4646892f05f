"""What garbage collection asks, without a cluster and without waiting for a year."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.promotions import FakeServing

from slipway.core.errors import FailedError
from storage.keys import StoreKey
from storage.registry import collection


@dataclass
class FakeCluster:
    """Lists what was promoted last, unless it is down, and holds the Secrets that it was given."""

    serving: FakeServing
    down: bool = False
    more: list[dict[str, Any]] = field(default_factory=list)
    keys: Mapping[str, StoreKey] = field(default_factory=dict)
    """By the name of the Secret."""

    def services(self, namespace: str) -> list[dict[str, Any]]:
        if self.down:
            raise FailedError("The cluster did not answer.")
        return [*self.serving.live.values(), *self.more]

    def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        key = self.keys[name]
        return {
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key.get_secret_value(),
        }


def service(name: str, uri: str | None, digest: str | None) -> dict[str, Any]:
    annotations = {"slipway.dev/model-digest": digest} if digest else {}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"predictor": {"model": {"storageUri": uri} if uri else {}}},
    }


def in_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC) + timedelta(days=365)
    plain = collection.Collector.__init__
    monkeypatch.setattr(
        collection.Collector,
        "__init__",
        lambda self, *arguments, **named: plain(self, *arguments, **named | {"now": lambda: now}),
    )
