"""What people see: tables and summaries of the models that the services return."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from slipway import console

if TYPE_CHECKING:
    from embedded.cluster import ClusterStatus
    from embedded.plugins.selection import Plugin
    from embedded.toolchain import Examination
    from infra.contract import PlatformOutputs
    from slipway.quickstart import JourneySummary


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def status(
    stack: str,
    cluster: "ClusterStatus | None",
    plugins: Sequence["Plugin"],
    platform: "PlatformOutputs | None",
    *,
    as_json: bool,
) -> None:
    """Print what runs and where it answers."""
    if as_json:
        console.show_json(
            {
                "stack": stack,
                "cluster": cluster.model_dump(mode="json") if cluster else None,
                "plugins": [plugin.model_dump(mode="json") for plugin in plugins],
                "outputs": platform.model_dump(mode="json") if platform else None,
            }
        )
        return
    pairs: list[tuple[str, object]] = [("stack", stack)]
    if cluster is not None:
        pairs.append(("cluster", f"{cluster.name}: {cluster.state}"))
    if platform is None:
        pairs.append(("platform", f"not up (slipway up {stack})"))
    else:
        pairs += [
            ("pipelines", platform.kfp.endpoint),
            ("store", platform.store.endpoint),
            ("serving", platform.serving.endpoint),
            ("tenants", ", ".join(sorted(platform.tenants)) or "none"),
        ]
    console.show_pairs(pairs)
    if plugins:
        console.show_table(
            ("plugin", "version", "which", "why"), [(p.name, p.version, p.kind, p.why) for p in plugins]
        )


def doctor(report: "Examination") -> None:
    """Print each check with its mark and, where something lacks, the command that mends it."""
    for check in report.checks:
        mark = Text("✓", style="green") if check.ok else Text("✗", style="red")
        console.out.print(mark, Text(f"{check.name}: {check.detail}"))
        if not check.ok and check.fix:
            console.out.print(Text(f"    → {check.fix}"))
    console.show_table(
        ("tool", "version", "state", "last build", "size"),
        [
            (
                tool.tool,
                tool.version,
                tool.state,
                f"{tool.last_seconds:.0f} s" if tool.last_seconds is not None else "-",
                _mib(tool.cached_bytes) if tool.cached_bytes else "-",
            )
            for tool in report.tools
        ],
    )
    console.show_pairs([("cache", f"{report.cache} ({_mib(report.cache_bytes)})")])
    if report.expected_seconds:
        console.show_pairs([("to build", f"about {report.expected_seconds / 60:.0f} minutes of building")])


def journey(summary: "JourneySummary") -> None:
    """Print the summary of the quickstart: phases, endpoint, model, prediction."""
    width = max(phase.seconds for phase in summary.phases) or 1.0
    console.show_table(
        ("phase", "seconds", ""),
        [
            (phase.name, f"{phase.seconds:.1f}", "█" * max(1, round(30 * phase.seconds / width)))
            for phase in summary.phases
        ],
        title="Time per phase",
    )
    console.show_pairs(
        [
            ("pipelines", summary.outputs.kfp.endpoint),
            ("store", summary.outputs.store.endpoint),
            ("serving", summary.outputs.serving.endpoint),
            ("kubeconfig", summary.outputs.kubeconfig or "-"),
        ],
        title="Stack outputs",
    )
    for trained in summary.models:
        console.show_pairs(
            [
                ("run", f"{trained.run_id} {trained.run_state}"),
                ("gate", trained.decision),
                *([("version", trained.version), ("endpoint", trained.endpoint)] if trained.version else []),
                *(
                    [
                        ("prediction", f"{trained.predicted} for held-out rows labelled {trained.expected}"),
                        ("accuracy", f"{trained.accuracy:.4f} on {trained.rows} held-out rows over HTTP"),
                    ]
                    if trained.accuracy is not None
                    else []
                ),
            ],
            title=f"Model {trained.name}",
        )
    served = next((model for model in summary.models if model.curl), None)
    if served:
        console.show_pairs([("", served.curl)], title="Try it")
