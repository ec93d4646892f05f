"""The programs that a bare machine does not have, built from pinned source and kept in a cache."""

from embedded.toolchain import debian, doctor
from embedded.toolchain.build import bin_dir, binary, ensure
from embedded.toolchain.cache import prune
from embedded.toolchain.doctor import Examination, examine
from embedded.toolchain.golang import go_command
from embedded.toolchain.presence import require
from embedded.toolchain.tools import BINARIES, TOOLS

__all__ = [
    "BINARIES",
    "TOOLS",
    "Examination",
    "bin_dir",
    "binary",
    "debian",
    "doctor",
    "ensure",
    "examine",
    "go_command",
    "prune",
    "require",
]
