"""What a failed build or installation means, and what fixes it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.core.errors import FailedError

_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True)
class _Cause:
    pattern: re.Pattern[str]
    why: str
    fix: str


def _cause(pattern: str, why: str, fix: str) -> _Cause:
    return _Cause(re.compile(pattern, re.IGNORECASE), why, fix)


_CAUSES = (
    _cause(
        r"no space left on device|disk quota exceeded|not enough free space",
        "The disk is full.",
        "Free some gigabytes (`df -h` shows where; `go clean -cache` empties Go's own cache) "
        "and run the command again: what was compiled so far is kept.",
    ),
    _cause(
        r"checksum mismatch|SECURITY ERROR",
        "What was downloaded is not what go.sum pins; it was refused.",
        "Try another network or GOPROXY. Don't switch verification off: this is its purpose.",
    ),
    _cause(
        r"missing go\.sum entry|updates to go\.mod needed|go\.mod file not found",
        "The committed go.mod and go.sum don't match.",
        "Restore them (`git status embedded/toolchain/go`); after a new version: `go mod tidy` there.",
    ),
    _cause(
        r"GOPROXY=off|GOFLAGS=-mod=vendor|GOPROXY list is not the empty string",
        "Go may not download: GOPROXY is off or empty.",
        "Unset GOPROXY or name a proxy (`go env -w GOPROXY=…`), and run the command again.",
    ),
    _cause(
        r"dial tcp|no such host|connection (refused|reset)|network is unreachable|i/o timeout|TLS handshake|"
        r"temporary failure (in name resolution|resolving)|proxyconnect|unexpected EOF|\b50[0234] |"
        r"Could not (connect|resolve)|Failed to fetch|server misbehaving|context deadline exceeded|"
        r"Client\.Timeout|Unable to connect",
        "The package registry could not be reached.",
        "Check the network and, if you use one, GOPROXY and HTTPS_PROXY; then run the command again: "
        "what was downloaded and compiled so far is kept.",
    ),
    _cause(
        r"Unable to locate package|no installation candidate",
        "The package sources of this machine don't have it, not even after an update.",
        "Add the Debian archive's `main` component to /etc/apt/sources.list and run the command again.",
    ),
    _cause(
        r"Packages need to be removed but remove is disabled",
        "It would replace a package that is installed; Slipway removes nothing of yours.",
        "Install it by hand if you agree with what apt proposes, and run the command again.",
    ),
    _cause(
        r"signal: killed|out of memory|cannot allocate memory",
        "The machine ran out of memory.",
        "Stop other programs or add memory (the largest link takes about 2 GiB), then run the command again.",
    ),
    _cause(
        r"permission denied|read-only file system",
        "A file could not be written.",
        "Make the folder writable, or choose another cache with SLIPWAY_CACHE, and run the command again.",
    ),
)


def redact(text: str) -> str:
    """The text without user names and passwords of URLs: a proxy's address may contain them."""
    return _CREDENTIALS.sub(r"\1***@", text)


def explain(what: str, output: Sequence[str], *, log: Path | None = None) -> FailedError:
    """Turn the last lines of a tool's output into an error for the user."""
    text = redact("\n".join(output))
    for cause in _CAUSES:
        match = cause.pattern.search(text)
        if match:
            line = text[text.rfind("\n", 0, match.start()) + 1 :].partition("\n")[0].strip()
            return FailedError(what, why=f"{cause.why} ({line[:300]})", fix=cause.fix)
    last_lines = " | ".join(line for line in text.splitlines()[-3:] if line.strip())[:400]
    fix = f"The whole output is in {log}." if log else "Run the command again; if it fails again, report it."
    return FailedError(what, why=last_lines or "It printed nothing.", fix=fix)
