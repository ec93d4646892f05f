"""Outputs of a stack that exists in tests only."""

from collections.abc import Mapping

from infra.contract import PlatformOutputs


def outputs(
    store: str = "http://127.0.0.1:9", *, gates: Mapping[str, object] | None = None, **changes: object
) -> PlatformOutputs:
    tenant = {
        "namespace": "team-a",
        "editor_service_account": "default-editor",
        "viewer_service_account": "default-viewer",
        "runner_service_account": "pipeline-runner",
        "server_service_account": "model-server",
        "pipeline_root": "s3://artifacts/team-a/runs",
        "models_uri": "s3://models/team-a",
        "data_uri": "s3://data/team-a",
        "key_generation": 1,
        "editor_secret": "store-editor",
        "runner_secret": "store-runner",
        "server_secret": "store-server",
        "promoter_secret": "store-promoter",
        "collector_secret": "store-collector",
        "gates": gates or {},
    }
    fields = {
        "contract_version": 3,
        "stack": "test",
        "environment": "local",
        "kubeconfig": None,
        "kfp": {
            "endpoint": "http://127.0.0.1:9",
            "internal_endpoint": "http://ml-pipeline.kubeflow:8888",
            "auth_mode": "none",
            "audience": None,
            "backend": "embedded",
        },
        "store": {
            "kind": "minio",
            "endpoint": store,
            "internal_endpoint": "http://minio.slipway-store:9000",
            "region": "us-east-1",
            "tls": False,
            "path_style": True,
            "ca_config_map": None,
            "keyless": False,
            "artifacts_bucket": "artifacts",
            "models_bucket": "models",
            "data_bucket": "data",
        },
        "serving": {"mode": "standard", "endpoint": "http://127.0.0.1:9", "runtime": "slipway-onnx"},
        "images": {"steps": "slipway.local/pipelines:0123456789ab"},
        "versions": {},
        "tenants": {"team-a": tenant},
    }
    return PlatformOutputs.model_validate(fields | changes)
