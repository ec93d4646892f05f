"""Write the figures to docs/benchmarks.md."""

import datetime
import re
from pathlib import Path
from typing import Final

from bench.measure import Figures, median

BAR = 30
_MARKED: Final = re.compile(r"<!-- (\S+): begin -->.*?<!-- \1: end -->", re.DOTALL)
"""A section that another command, or a person, measured."""


def write(figures: Figures, path: Path) -> None:
    """Rewrite the page."""
    warm = figures.warm
    promotions = [seconds for name, seconds in warm.journey.phases.items() if name.startswith("promote")]
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {datetime.date.today().isoformat()}: {warm.machine}.",
        "Medians of three where a command can be repeated. The machine is shared: compare within one run.",
        "",
        "| what | command | measured |",
        "|---|---|---|",
        f"| main job, full caches | `slipway quickstart local` | {warm.journey.total:.0f} s |",
    ]
    if figures.cold:
        lines.append(
            f"| main job, empty caches | `make up` in a fresh clone | {figures.cold.total / 60:.1f} min |"
        )
    lines += [
        f"| second `up`, nothing to change ({warm.resources} resources) | `slipway up local` | "
        f"{median(warm.second_up):.1f} s |",
        f"| preview | `slipway preview local` | {median(warm.preview):.1f} s |",
        "| memory of the Kubernetes provider, at most, in a first, a second `up` and a preview | the same | "
        + ", ".join(f"{each / 2**20:.0f}" for each in warm.provider_memory)
        + " MiB |",
        f"| cluster start with its data | `slipway local start` | {median(warm.cluster_start):.1f} s |",
        f"| steps of an empty pipeline, one after the other | {warm.empty_steps} steps by `kfp.Client` | "
        f"{warm.empty_steps / warm.empty_seconds:.1f} per second |",
        "| promotion: decision, check, copy, roll out, first answer | in the quickstart | "
        f"{median(promotions):.1f} s |",
        f"| promotion of what is served already | `slipway model promote` | {median(warm.promotion):.1f} s |",
        f"| memory of the whole platform | `slipway status` | {warm.memory_cluster / 2**20:.0f} MiB, "
        f"of it {warm.memory_pods / 2**20:.0f} MiB in pods |",
        "",
        *_phases("Where the time goes, full caches", warm.journey.phases),
        *_phases("What the platform waited for, full caches (resources, overlapping)", warm.journey.slowest),
    ]
    if figures.cold:
        lines += _phases("Where the time goes, empty caches", figures.cold.phases)
    lines += [each.group() + "\n" for each in _MARKED.finditer(path.read_text())]
    path.write_text("\n".join(lines).rstrip() + "\n")


def put_into(page: Path, name: str, lines: list[str]) -> None:
    """Replace the section of this name on the page, or append it."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    replacement = "\n".join([begin, *lines]).rstrip() + f"\n{end}"
    page.write_text((before.rstrip() + "\n\n" + replacement + after).rstrip() + "\n")


def _phases(title: str, seconds_by_name: dict[str, float]) -> list[str]:
    longest = max(seconds_by_name.values(), default=0) or 1.0
    rows = [
        f"{name:<44} {seconds:8.1f} s  {'█' * round(BAR * seconds / longest)}"
        for name, seconds in seconds_by_name.items()
    ]
    return [f"## {title}", "", "```", *rows, "```", ""]
