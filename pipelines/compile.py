"""Compile the pipelines to golden IR: `python -m pipelines.compile [--check]`.

The reviewed IR is what is uploaded: `compiled/` is committed, and a test checks that it is up to date.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from kfp.compiler import Compiler
from kfp.dsl.base_component import BaseComponent

from pipelines.iris import iris
from pipelines.steps.step import IMAGE
from pipelines.training import training
from slipway.core.errors import FailedError, UsageError

PIPELINES: Final[dict[str, BaseComponent]] = {"iris": iris, "training": training}
"""Every pipeline of this package, by name."""
GOLDEN: Final = Path(__file__).parent / "compiled"


def compiled(name: str, *, image: str = IMAGE) -> str:
    """Return the IR of pipeline `name` as YAML, with its steps running in `image`.

    Raises:
        UsageError: Unknown pipeline.
    """
    if name not in PIPELINES:
        raise UsageError(
            f"There is no pipeline {name!r}.", fix=f"Choose one of {', '.join(sorted(PIPELINES))}."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        Compiler().compile(PIPELINES[name], str(path))
        text = path.read_text()
    return text.replace(f"image: {IMAGE}\n", f"image: {image}\n")


def stale() -> list[str]:
    """Return the names of the pipelines whose golden IR is not up to date."""
    return [name for name in sorted(PIPELINES) if _golden(name) != compiled(name)]


def write() -> list[Path]:
    """Write the golden IR of every pipeline."""
    GOLDEN.mkdir(exist_ok=True)
    paths = []
    for name in sorted(PIPELINES):
        path = GOLDEN / f"{name}.yaml"
        path.write_text(compiled(name))
        paths.append(path)
    return paths


def check() -> None:
    """Raise FailedError if the golden IR is not up to date."""
    if names := stale():
        raise FailedError(
            f"The golden IR of {', '.join(names)} is not up to date.",
            fix="Run `python -m pipelines.compile` and review the difference.",
        )


def _golden(name: str) -> str | None:
    path = GOLDEN / f"{name}.yaml"
    return path.read_text() if path.exists() else None


def main(arguments: list[str] | None = None) -> int:
    """Write or check the golden IR and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.compile", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is not up to date")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            check()
        else:
            for path in write():
                print(path)
    except FailedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
