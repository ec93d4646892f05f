"""The drive below a store: one that is small, and one that loses a bit."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_drive(folder: Path, mib: int) -> Iterator[Callable[[int], None]]:
    """Mount a drive of `mib` MiB on a folder; what is yielded gives it another size."""

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}m", folder], check=True)

    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", folder], check=True)
    try:
        yield resize
    finally:
        # Lazily: a server that was killed a moment ago may still hold it.
        subprocess.run(["umount", "-l", folder], check=True)


def flip_byte(data: Path, bucket: str, key: str, content: bytes, at: int) -> None:
    """Flip a bit of one byte of an object on the drive; `content` is what the object holds."""
    folder = data / "objects" / bucket / key
    parts = sorted(folder.rglob("part.1"))
    file = parts[0] if parts else folder / "xl.meta"
    raw = bytearray(file.read_bytes())
    # Checksums lie between the blocks, so the place is found by what is there.
    raw[raw.index(content[at : at + 16])] ^= 1
    file.write_bytes(raw)
