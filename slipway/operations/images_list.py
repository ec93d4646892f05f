"""Lists of images: given one by one, or in a file with one reference on a line."""

from collections.abc import Iterable
from pathlib import Path

from oci.references import Reference, parse
from slipway.core.errors import UsageError


def read(given: Iterable[str], file: Path | None) -> list[Reference]:
    """Return the references of a command, each once, in their order.

    Args:
        given: References.
        file: A file with further ones; empty lines and what follows a `#` are skipped.

    Raises:
        UsageError: There is none, one is not a reference, or the file can't be read.
    """
    found = [parse(each) for each in given]
    if file is not None:
        found += _from(file)
    if not found:
        raise UsageError("No image is given.", fix="Name references, or a file of them with --file.")
    return list(dict.fromkeys(found))


def _from(file: Path) -> list[Reference]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "It is not text"
        raise UsageError(f"The list of images {file} can't be read.", why=f"{reason}.") from error
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        try:
            found += [parse(text)] if text else []
        except UsageError as error:
            raise UsageError(f"{file}, line {number}: {error.what}", why=error.why, fix=error.fix) from error
    return found
