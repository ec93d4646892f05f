"""The page of benchmarks: a run of `make bench` rewrites its own part and nothing else."""

from bench import measure, page
from bench.measure import Figures, Platform, QuickstartTimes

JOURNEY = QuickstartTimes(phases={"platform": 30.0, "promote iris": 4.0}, slowest={"KServe kserve": 22.0})
FIGURES = Figures(
    warm=Platform(
        journey=JOURNEY,
        second_up=[7.0, 8.0, 9.0],
        preview=[6.0, 6.5, 7.0],
        provider_memory=[100 * 2**20, 90 * 2**20, 80 * 2**20],
        cluster_start=[4.0],
        resources=99,
        empty_steps=40,
        empty_seconds=20.0,
        promotion=[3.0],
        memory_cluster=2**30,
        memory_pods=2**29,
        machine="2 cores",
    ),
    cold=None,
)


def test_every_marked_section_is_kept(tmp_path):
    path = tmp_path / "benchmarks.md"
    kept = [f"<!-- {name}: begin -->\n## {name}\n\n| a |\n<!-- {name}: end -->" for name in ("one", "two")]
    path.write_text("\n\n".join(["# Old", kept[0], "a remark without marks", kept[1]]) + "\n")
    page.write(FIGURES, path)
    first = path.read_text()
    assert all(section in first for section in kept)
    assert "# Old" not in first
    assert "a remark" not in first
    page.write(FIGURES, path)
    assert path.read_text() == first, "a second run changes nothing"


def test_the_committed_page_loses_nothing(tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text((measure.ROOT / "docs" / "benchmarks.md").read_text())
    page.write(FIGURES, path)
    for heading in ("## Transfers", "## Serving", "## A million rows"):
        assert heading in path.read_text()


def test_figures_are_medians_and_name_their_command(tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text("")
    page.write(FIGURES, path)
    assert "(99 resources) | `slipway up local` | 8.0 s |" in path.read_text()
    assert "| preview | `slipway preview local` | 6.5 s |" in path.read_text()
    assert "100, 90, 80 MiB" in path.read_text()
