"""The table of transfers: rates, ratios and missing measurements."""

from pathlib import Path

from bench.transfers import whole_turns
from bench.transfers_page import Figure, Workload, filesystem, section

MIB = 1 << 20
ONE = Workload(name="1 x 64 MiB", count=1, size=64 * MIB)
MANY = Workload(name="100 x 16 KiB", count=100, size=16 << 10)


def figure(
    contender: str, seconds: float, *, up: bool = False, workload: Workload = ONE, memory: int = 0
) -> Figure:
    return Figure(
        workload=workload, contender=contender, up=up, seconds=seconds, processor=0.5, memory=memory
    )


def row(lines: list[str], contender: str) -> list[str]:
    (matching,) = (line for line in lines if line.startswith(f"| {contender} |"))
    return [cell.strip() for cell in matching.strip("|").split("|")][1:]


def test_rates_are_medians_relative_to_boto3() -> None:
    lines = section(
        [
            figure("boto3", 4.0),
            *(figure("Slipway", seconds, memory=70 * MIB) for seconds in (1.0, 0.8, 9.0)),
        ],
        "memory",
    )
    assert row(lines, "Slipway")[3:] == ["64", "4.0", "0.5 s", "70 MiB"]
    assert row(lines, "boto3")[-1] == "-"


def test_small_files_are_files_per_second() -> None:
    lines = section(
        [figure("Slipway", 2.0, up=True), figure("Slipway", 2.0, up=True, workload=MANY)], "memory"
    )
    (large, small) = (line for line in lines if line.startswith("| Slipway |"))
    assert (large.split("|")[2].strip(), small.split("|")[2].strip()) == ("32", "50")


def test_missing_measurements_have_no_row_or_a_dash() -> None:
    lines = section([figure("Slipway", 1.0, up=True)], "memory")
    assert row(lines, "Slipway")[3:6] == ["-"] * 3
    assert not [line for line in lines if line.startswith("| boto3 |")]


def test_the_page_shows_the_file_system_but_no_path(tmp_path: Path) -> None:
    assert filesystem(Path("/proc")) == "proc"
    assert "/" not in filesystem(tmp_path)
    lines = section([figure("Slipway", 1.0), figure("Slipway", 2.0)], "memory")
    assert any(line.startswith("Medians of 2;") for line in lines)


def test_an_interrupted_run_continues_after_whole_turns(tmp_path: Path) -> None:
    keep = tmp_path / "figures"
    kept = [figure("boto3", 4.0, up=True), figure("boto3", 3.0), figure("Slipway", 2.0, up=True)]
    keep.write_text("".join(each.model_dump_json() + "\n" for each in kept))
    assert whole_turns(keep) == kept[:2]
    assert len(keep.read_text().splitlines()) == 2
