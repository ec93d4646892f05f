"""Complete settings, from which docs/settings.md takes its examples. Pure.

Tests load them, so that what the page shows is accepted.
"""

from typing import Final

LOCAL: Final = """\
environment: local
store:
  kind: minio
  size_gib: 20
  storage_class: standard
  region: us-east-1
  buckets:
    artifacts: slipway-artifacts
    models: slipway-models
    data: slipway-data
  run_retention_days: 30
  nodes: 1
  drives_per_node: 1
  root_key_generation: 2
  certificate_generation: 1
  console: true
  protect_volumes: false
serving:
  mode: standard
  model_memory: 2Gi
  model_cpu: 500m
kfp:
  kind: embedded
  size_gib: 4
  storage_class: standard
katib:
  enabled: true
"""
KIND: Final = f"""\
environment: kind
store:
  console: true
kfp:
  kind: embedded
cluster:
  name: mine
  node_image: docker.io/kindest/node:v1.34.11@sha256:{"0" * 64}
  engine: podman
endpoints:
  gateway: 18080
  store: 18081
  console: 18082
  kfp: 18083
images:
  minio: registry.example.org/slipway/minio@sha256:{"0" * 64}
  kserve_controller: registry.example.org/slipway/kserve-controller@sha256:{"0" * 64}
  gateway: registry.example.org/slipway/gateway@sha256:{"0" * 64}
  pipelines: registry.example.org/slipway/pipelines@sha256:{"0" * 64}
  model_server: registry.example.org/slipway/model-server@sha256:{"0" * 64}
  katib_controller: registry.example.org/slipway/katib-controller@sha256:{"0" * 64}
  katib_db_manager: registry.example.org/slipway/katib-db-manager@sha256:{"0" * 64}
  mariadb: registry.example.org/slipway/mariadb@sha256:{"0" * 64}
"""
DEV: Final = f"""\
environment: dev
store:
  console: true
cluster:
  context: team-cluster
  kubeconfig: team-cluster.kubeconfig
  cert_manager: false
images:
  minio: registry.example.org/slipway/minio@sha256:{"0" * 64}
  kserve_controller: registry.example.org/slipway/kserve-controller@sha256:{"0" * 64}
  gateway: registry.example.org/slipway/gateway@sha256:{"0" * 64}
  pipelines: registry.example.org/slipway/pipelines@sha256:{"0" * 64}
  model_server: registry.example.org/slipway/model-server@sha256:{"0" * 64}
  katib_controller: registry.example.org/slipway/katib-controller@sha256:{"0" * 64}
  katib_db_manager: registry.example.org/slipway/katib-db-manager@sha256:{"0" * 64}
  mariadb: registry.example.org/slipway/mariadb@sha256:{"0" * 64}
kfp:
  kind: embedded
endpoints:
  kind: port-forward
  gateway: 18080
  store: 18081
  console: 18082
  kfp: 18083
"""
NODE_PORT: Final = """\
endpoints:
  kind: node-port
  host: 192.0.2.7
  gateway: 30080
  store: 30443
  console: 30444
  kfp_port: 18083
"""
LOAD_BALANCER: Final = """\
endpoints:
  kind: load-balancer
  gateway: models.example.org
  store: store.example.org
  console: console.example.org
  annotations:
    external-dns.alpha.kubernetes.io/ttl: "60"
  kfp_port: 18083
"""
GATEWAY_API: Final = """\
endpoints:
  kind: gateway-api
  gateway_class: istio
  issuer: letsencrypt
  gateway: models.example.org
  store: store.example.org
  console: console.example.org
  kfp_port: 18083
"""
URLS: Final = """\
endpoints:
  kind: urls
  gateway: https://models.example.org
  store: https://store.example.org
  console: https://console.example.org
  kfp: https://pipelines.example.org
"""
S3: Final = """\
store:
  kind: s3
  region: eu-central-1
  buckets:
    artifacts: example-artifacts
    models: example-models
    data: example-data
  run_retention_days: 90
  identity:
    kind: irsa
    provider_arn: arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE
  kms_key_arn: arn:aws:kms:eu-central-1:111122223333:key/example
  people:
    - tenant: team-a
      role: promoter
      principal: arn:aws:iam::111122223333:role/ci
  protect_buckets: true
"""
POD_IDENTITY: Final = """\
identity:
  kind: pod-identity
  cluster_name: team-cluster
"""
EXTERNAL: Final = """\
store:
  kind: external
  endpoint: https://s3.example.org
  region: us-east-1
  path_style: true
  ca_file: certificates/store.pem
  administration: minio
  lifecycle: slipway
  buckets:
    artifacts: example-artifacts
    models: example-models
    data: example-data
  run_retention_days: 90
"""
TENANT: Final = """\
name: team-a
members:
  - user: ada@example.org
    role: admin
  - group: data-science
    role: editor
quota:
  cpu: "16"
  memory: 32Gi
  storage: 100Gi
  pods: 80
defaults:
  cpu_request: 100m
  memory_request: 128Mi
  cpu_limit: "2"
  memory_limit: 1Gi
gates:
  minimums:
    accuracy: 0.9
    f1_weighted: 0.85
  min_held_out_rows: 50
  min_gain: 0.05
  compare: always
  max_drop: 0.01
key_generation: 2
key_rotation: overlap
"""
