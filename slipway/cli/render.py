"""Tables and summaries of the results of operations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from slipway.cli import console

if TYPE_CHECKING:
    from slipway.operations.data_files import Summary
    from slipway.operations.machine import Examination
    from slipway.operations.promotion import PromotionResult
    from slipway.operations.quickstart import QuickstartSummary
    from slipway.operations.status import StackStatus
    from slipway.operations.store_test import StoreVerdict
    from slipway.operations.training import TrainedModel, TrainingRun


CLASSES = 20
"""Most classes that a summary of data lists."""
COLUMNS = 12
"""Most columns of one kind that it names."""


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def status(current: "StackStatus", *, as_json: bool) -> None:
    """Print what runs, and its endpoints."""
    stack, cluster, platform, missing = current.stack, current.cluster, current.outputs, current.missing
    if as_json:
        console.show_json(
            {
                "stack": stack,
                "cluster": cluster.model_dump(mode="json") if cluster else None,
                "plugins": [plugin.model_dump(mode="json") for plugin in current.plugins],
                "outputs": platform.model_dump(mode="json") if platform else None,
                "missing": missing.model_dump(mode="json") if missing else None,
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
    if missing is not None:
        pairs.append(("objects", missing.summary))
    console.show_pairs(pairs)
    if missing is not None and missing.objects:
        console.out.print(Text(f"→ Restore them: slipway up {stack} --refresh"))
    if current.plugins:
        console.show_table(
            ("plugin", "version", "which", "why"),
            [(p.name, p.version, p.kind, p.why) for p in current.plugins],
        )


def doctor(report: "Examination") -> None:
    """Print each check with its mark and, where something is missing, the command that fixes it."""
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


def store(verdict: "StoreVerdict", *, as_json: bool) -> None:
    """Print what a store can do, and what Slipway refuses to do there."""
    report, refusals = verdict.report, verdict.refusals
    if as_json:
        refused = [refusal.model_dump(mode="json") for refusal in refusals]
        console.show_json({**report.model_dump(mode="json"), "refusals": refused})
        return
    console.show_table(
        ("capability", "result", "needed", "details"),
        [
            (
                result.capability,
                result.outcome,
                result.need,
                " ".join(part for part in (result.code, result.message) if part),
            )
            for result in report.capabilities
        ],
        title=f"Store {report.endpoint or 'AWS S3'}",
    )
    for leftover in report.left_behind:
        console.out.print(Text(f"✗ left behind: {leftover}", style="red"))
    if refusals:
        console.show_table(
            ("Slipway refuses there", "without", "because"),
            [(refusal.refuses, refusal.capability, refusal.why) for refusal in refusals],
        )
    usable = "usable" if report.usable else "not usable: a capability that Slipway always needs is missing"
    console.out.print(Text(usable, style="bold green" if report.usable else "bold red"))


def quickstart(summary: "QuickstartSummary") -> None:
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
    if summary.slowest:
        console.show_table(
            ("resource", "seconds"),
            [(resource.name, f"{resource.seconds:.1f}") for resource in summary.slowest],
            title="What the platform waited for (they overlap)",
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
    for model in summary.models:
        trained(model)
    for line in summary.left_out:
        console.out.print(line, markup=False)
    served = next((model for model in summary.models if model.curl), None)
    if served:
        console.show_pairs([("", served.curl)], title="Try it")


def trained(model: "TrainedModel", *, as_json: bool = False) -> None:
    """Print the outcome of one training job."""
    if as_json:
        console.show_model(model)
        return
    data(model.data)
    pairs: list[tuple[str, object]] = [
        ("run", f"{model.run_id} {model.run_state}"),
        ("gate", plain(model.decision)),
    ]
    if model.version:
        pairs += [("version", model.version), ("endpoint", model.endpoint)]
    if model.accuracy is not None:
        pairs += [
            ("accuracy", f"{model.accuracy:.4f} on {model.rows} held-out rows, measured by promotion"),
            ("baseline", f"{model.baseline:.4f} for always answering {model.most_frequent!r}"),
        ]
    if model.asked:
        pairs += [
            ("prediction", plain(f"{model.predicted} for held-out rows labelled {model.expected}")),
            ("endpoint check", f"{model.asked} held-out rows answered over HTTP as evaluated"),
        ]
    console.show_pairs(pairs, title=f"Model {model.name}")


def run(result: "TrainingRun", *, as_json: bool) -> None:
    """Print the data of a run, and the state of each task."""
    if as_json:
        console.show_model(result)
        return
    data(result.data)
    console.show_pairs([("run", result.run_id), ("state", result.state)])
    console.show_table(
        ("task", "state", "seconds"),
        [(t.name, t.state, "-" if t.seconds is None else f"{t.seconds:.1f}") for t in result.tasks],
    )


def data(summary: "Summary") -> None:
    """Print a table as read: its size, columns by kind, classes with counts, and warnings."""
    numbers = [plain(each.name) for each in summary.columns if each.kind == "number"]
    texts = [f"{plain(each.name)} ({each.values})" for each in summary.columns if each.kind == "category"]
    pairs: list[tuple[str, object]] = [
        (
            "rows",
            f"{summary.rows:,}: {summary.split_rows.train:,} to train on, "
            f"{summary.split_rows.held_out:,} held out",
        ),
        ("numbers", _listed(numbers)),
        ("categories", _listed(texts)),
        ("target", plain(summary.read.target)),
    ]
    if summary.dropped:
        pairs.append(("dropped", _listed([plain(name) for name in summary.dropped])))
    console.show_pairs(pairs, title=f"Data {summary.file}")
    shown = summary.classes[:CLASSES]
    console.show_table(
        ("class", "rows", "held out"), [(plain(each.label), each.rows, each.held_out) for each in shown]
    )
    if len(summary.classes) > CLASSES:
        console.out.print(f"... and {len(summary.classes) - CLASSES} more classes", markup=False)
    for warning in summary.warnings:
        console.out.print(Text(f"! {warning}", style="yellow"))


def plain(text: str) -> str:
    """Return a name from a file in one line, without control characters for the terminal."""
    return text if text.isprintable() and text.strip() == text and text else repr(text)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:COLUMNS]) or "-"
    return shown + (f" and {len(names) - COLUMNS} more" if len(names) > COLUMNS else "")


def promotion(result: "PromotionResult", *, as_json: bool) -> None:
    """Print the result of a promotion."""
    if as_json:
        console.show_model(result)
        return
    verdict = "promoted" if result.promoted else "not promoted"
    pairs: list[tuple[str, object]] = [(verdict, plain(result.reason))]
    evaluation = result.evaluation
    if evaluation is not None:
        pairs += [
            (
                name,
                f"{value:.4f} on {evaluation.held_out.rows} held-out rows; "
                f"baseline {evaluation.baseline[name]:.4f}",
            )
            for name, value in evaluation.metrics.items()
        ]
        pairs += [("warning", plain(text)) for text in evaluation.held_out.warnings]
    if result.replaced:
        pairs.append(("replaced", plain(result.replaced)))
    if result.promoted:
        pairs += [("version", result.digest), ("endpoint", result.endpoint)]
        pairs += [(name, f"{seconds:.1f} s") for name, seconds in result.seconds.items()]
    console.show_pairs(pairs)
