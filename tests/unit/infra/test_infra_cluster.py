"""The Kubernetes provider that the program declares."""

import pulumi
from support.engine import Engine, reveal

from infra.cluster.provider import kubernetes_provider


def _inputs(**options: object) -> dict[str, object]:
    engine = Engine().deploy(lambda: kubernetes_provider("cluster", kubeconfig="{}", **options))
    return dict(reveal(engine.one("cluster").inputs))


def test_data_of_secrets_and_config_maps_change_in_place():
    inputs = _inputs()
    assert inputs["enableConfigMapMutable"] == inputs["enableSecretMutable"] == "true"
    assert inputs["enableServerSideApply"] == "true"


def test_existing_objects_are_taken_over_only_where_it_is_said():
    assert "upsertExistingObjects" not in _inputs()
    assert _inputs(upsert_existing_objects=True)["upsertExistingObjects"] == "true"


def test_cluster_is_named_by_context_or_identifier():
    inputs = _inputs(context="team", cluster_identifier=pulumi.Output.from_input("slw"))
    assert (inputs["context"], inputs["clusterIdentifier"]) == ("team", "slw")
