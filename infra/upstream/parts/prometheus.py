"""Prometheus, Alertmanager and Grafana, whose password `up` has to make. Pure."""

from typing import Final

from infra.upstream.part import Available, CaInjected, Helm, MadeSecret, Part, Rewrite, Source, Stage, Waiver

_NAMESPACE: Final = "monitoring"
_CHARTS: Final = "prometheus-helm-charts/charts"
_CHART: Final = f"{_CHARTS}/kube-prometheus-stack"
_WINDOWS: Final = """  - name: prometheus-windows-exporter
    repository: https://prometheus-community.github.io/helm-charts
    version: "0.12.*"
    condition: windowsMonitoring.enabled
"""

PART: Final = Part(
    name="prometheus",
    version="88.5.3",
    stage=Stage.RUNTIMES,
    sources=(
        Source(
            name="prometheus-helm-charts",
            repository="https://github.com/prometheus-community/helm-charts",
            commit="ea930baeebeba39f56d6b44e351f23b2a072a600",
            folders=(
                "charts/kube-prometheus-stack",
                "charts/kube-state-metrics",
                "charts/prometheus-node-exporter",
            ),
        ),
        Source(
            name="grafana-helm-charts",
            repository="https://github.com/grafana-community/helm-charts",
            commit="864f7794683680e5100a38670e103c4fa6e37e29",
            folders=("charts/grafana",),
        ),
    ),
    rewrites=(Rewrite(f"{_CHART}/Chart.yaml", _WINDOWS, ""),),
    steps=(
        Helm(
            _CHART,
            "prometheus",
            _NAMESPACE,
            {
                "grafana": {
                    # By default the chart makes a random password at each rendering.
                    "admin": {"existingSecret": "grafana-admin"},
                    "testFramework": {"enabled": False},
                },
                # Dashboards and rules for systems that no node of Kubernetes has.
                "nodeExporter": {
                    "operatingSystems": {"aix": {"enabled": False}, "darwin": {"enabled": False}}
                },
                # By default two Jobs of helm make the webhook's certificate.
                "prometheusOperator": {"admissionWebhooks": {"certManager": {"enabled": True}}},
            },
            subcharts=(
                f"{_CHARTS}/kube-state-metrics",
                f"{_CHARTS}/prometheus-node-exporter",
                "grafana-helm-charts/charts/grafana",
            ),
        ),
    ),
    namespaces={_NAMESPACE: "privileged"},
    requires=("cert-manager",),
    secrets=(MadeSecret(_NAMESPACE, "grafana-admin", ("admin-user", "admin-password")),),
    waivers=(
        Waiver(
            "DaemonSet",
            "prometheus-prometheus-node-exporter",
            (
                "host namespaces",
                "hostPath volumes",
                "volume types",
                "privilege escalation",
                "seccomp",
                "dropping all capabilities",
            ),
            "It reads the node's own figures, from its file systems and namespaces.",
        ),
    ),
    probes=(
        CaInjected("MutatingWebhookConfiguration", "prometheus-kube-prometheus-admission"),
        CaInjected("ValidatingWebhookConfiguration", "prometheus-kube-prometheus-admission"),
        Available(_NAMESPACE, "prometheus-grafana"),
        Available(_NAMESPACE, "prometheus-kube-prometheus-operator"),
        Available(_NAMESPACE, "prometheus-kube-state-metrics"),
    ),
)
