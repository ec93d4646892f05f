"""Files of a repository's archive, as a git server makes it: one folder at the top, packed by tar."""

import tarfile
from pathlib import Path

from infra.upstream.part import Source
from infra.upstream.trees import Tree, is_used
from slipway.core.errors import FailedError


def from_archive(source: Source, archive: Path) -> Tree:
    """Return the files of the source from a tar archive; nothing is unpacked to the disk.

    Raises:
        FailedError: It is not a whole archive.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                path = member.name.partition("/")[2]
                if member.isfile() and is_used(path, source.folders):
                    content = opened.extractfile(member)
                    assert content is not None
                    found[path] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FailedError(
            f"{archive.name} can't be read as an archive.",
            why=str(error),
            fix="Copy it again, whole, and run the command again.",
        ) from None
    return found
