"""The Kubernetes provider that the program declares."""

import pulumi
import pytest
from support.engine import Engine, reveal

from infra.cluster.provider import OF_ONE_RUN, kubernetes_provider


def _inputs(**options: object) -> dict[str, object]:
    engine = Engine().deploy(lambda: kubernetes_provider("cluster", kubeconfig="{}", **options))
    return dict(reveal(engine.one("cluster").inputs))


def test_data_of_secrets_and_config_maps_change_in_place():
    inputs = _inputs()
    assert inputs["enableConfigMapMutable"] == inputs["enableSecretMutable"] == "true"
    assert inputs["enableServerSideApply"] == "true"


@pytest.mark.parametrize("name", OF_ONE_RUN)
def test_what_is_set_for_one_run_is_not_written_into_the_state(monkeypatch, name):
    before = _inputs()
    monkeypatch.setenv(name, "true")
    assert _inputs() == before


def test_cluster_is_named_by_context_or_identifier():
    inputs = _inputs(context="team", cluster_identifier=pulumi.Output.from_input("slw"))
    assert (inputs["context"], inputs["clusterIdentifier"]) == ("team", "slw")
