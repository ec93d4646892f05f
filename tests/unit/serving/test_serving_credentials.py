"""Predictors rolled by their key: when one has moved, what is applied, what a failure leaves."""

from typing import Any

import pytest

from serving import credentials
from serving.credentials import CHECKSUM, MANAGER, examine, roll
from slipway.core.errors import FailedError

NEW, OLD = "0123456789abcdef", "fedcba9876543210"


def pod(key: str | None, *, ready: bool = True, going: bool = False, restarts: int = 0) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": f"iris-predictor-{key}",
        "annotations": {CHECKSUM: key} if key else {},
    }
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": "kserve-container", "ready": ready, "restartCount": restarts}],
    }
    return {"metadata": metadata, "spec": {}, "status": status}


def deployment(key: str | None) -> dict[str, Any]:
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 1, "template": pod(key)},
        "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1},
    }


@pytest.mark.parametrize(
    ("template", "pods", "served", "done"),
    [
        (NEW, [pod(NEW)], True, True),
        (NEW, [pod(NEW), pod(OLD, going=True)], True, True),
        (NEW, [pod(NEW), pod(OLD)], True, False),
        (NEW, [pod(NEW), pod(None)], True, False),
        (NEW, [pod(NEW, ready=False)], True, False),
        (NEW, [pod(NEW, ready=False)], False, True),
        (NEW, [], True, False),
        (NEW, [], False, True),
        (OLD, [pod(OLD)], True, False),
        (OLD, [], False, False),
    ],
)
def test_a_predictor_has_moved_when_no_pod_has_another_key(
    template: str, pods: list[dict[str, Any]], served: bool, done: bool
) -> None:
    assert examine(deployment(template), pods, NEW, served=served).done is done


def test_only_what_served_can_be_hopeless() -> None:
    failing = [pod(NEW, ready=False, restarts=2)]
    assert examine(deployment(NEW), failing, NEW, served=True).hopeless
    assert not examine(deployment(NEW), failing, NEW, served=False).hopeless


def test_the_annotation_alone_is_applied_to_that_object() -> None:
    live = {"metadata": {"name": "iris", "namespace": "team-a", "uid": "u-1", "labels": {"a": "b"}}}
    assert credentials.annotation(live, NEW) == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "team-a", "uid": "u-1"},
        "spec": {"predictor": {"annotations": {CHECKSUM: NEW}}},
    }


def test_a_checksum_tells_keys_apart_and_tells_neither() -> None:
    one = {"AWS_ACCESS_KEY_ID": "team-a-server-1", "AWS_SECRET_ACCESS_KEY": "hidden-one"}
    two = {**one, "AWS_SECRET_ACCESS_KEY": "hidden-two"}
    assert credentials.checksum(one) == credentials.checksum(dict(reversed(one.items())))
    assert credentials.checksum(one) != credentials.checksum(two)
    assert "hidden" not in credentials.checksum(one)


class Predictors:
    """A cluster with one predictor, whose new pod comes up or fails."""

    def __init__(self, *, comes_up: bool) -> None:
        self.comes_up = comes_up
        self.key: str = OLD
        self.managers: list[str] = []

    def list_names(self, namespace: str) -> tuple[str, ...]:
        return ("iris",)

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": namespace, "uid": "u-1"}}

    def apply(self, manifest: Any, *, manager: str) -> None:
        self.key = manifest["spec"]["predictor"]["annotations"][CHECKSUM]
        self.managers.append(manager)

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        if self.comes_up or self.key == OLD:
            return [pod(self.key)]
        return [pod(OLD), pod(self.key, ready=False, restarts=2)]

    def deployment(self, namespace: str, name: str) -> dict[str, Any]:
        return deployment(self.key)


def test_each_predictor_is_rolled_by_a_manager_of_its_own() -> None:
    cluster = Predictors(comes_up=True)
    assert roll(cluster, "team-a", NEW) == ("iris",)
    assert cluster.managers == [MANAGER]


def test_a_pod_that_fails_with_the_new_key_keeps_the_old() -> None:
    with pytest.raises(FailedError) as failed:
        roll(Predictors(comes_up=False), "team-a", NEW)
    assert "team-a/iris did not start with the new key" in failed.value.what
    assert "the old pod serves" in failed.value.fix
