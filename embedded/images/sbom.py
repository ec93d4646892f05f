"""The list of what is in an image (SBOM), as a CycloneDX document: Python and Debian packages, Go modules.

It is read from the layers themselves, not from the recipe: Python's and dpkg's own records, and what the Go
linker wrote into a program. The same image gives the same bytes.
"""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from email.parser import HeaderParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from embedded.toolchain import golang
from oci import manifests

MEDIA_TYPE: Final = "application/vnd.cyclonedx+json"
_PYTHON: Final = "*.dist-info/METADATA"
_DEBIAN: Final = "var/lib/dpkg/status.d/*"
_GO: Final = "go"

Package = tuple[str, str, str]
"""Package URL without the version, name, version."""


def document(name: str, version: str, packages: Iterable[Package]) -> bytes:
    """Return the SBOM of an image."""
    components = [
        {"bom-ref": purl, "name": each, "purl": purl, "type": "library", "version": number}
        for url, each, number in sorted(set(packages))
        for purl in [f"{url}@{quote(number, safe=':')}"]
    ]
    bom: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"bom-ref": name, "name": name, "type": "container", "version": version}},
        "components": components,
    }
    return manifests.canonical(bom)


def in_layer(layer: Path) -> Iterator[Package]:
    """Yield the Python and Debian packages that a layer records."""
    with tarfile.open(layer) as archive:
        for member in archive:
            kind = _PYTHON if fnmatch(member.name, _PYTHON) else _DEBIAN
            if member.isreg() and fnmatch(member.name, kind) and (file := archive.extractfile(member)):
                fields = HeaderParser().parsestr(file.read().decode(errors="replace"))
                if kind == _PYTHON:
                    name, version = str(fields["Name"]), str(fields["Version"])
                    yield f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}", name, version
                else:
                    name, version = str(fields["Package"]), str(fields["Version"])
                    yield f"pkg:deb/debian/{quote(name)}", name, version


def in_program(program: Path) -> list[Package]:
    """Return the Go modules of a program, and Go's standard library; nothing if it is not a Go program."""
    completed = subprocess.run(
        [golang.find().command, "version", "-m", str(program)],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
    )
    first, *lines = completed.stdout.splitlines() or [""]
    if completed.returncode or not lines:
        return []
    compiler = first.rpartition(": ")[2].split()[0].removeprefix(_GO)
    return [("pkg:golang/std", "std", compiler), *_modules(lines)]


def dump(packages: Iterable[Package]) -> bytes:
    """Return packages in a form for a cache."""
    return json.dumps(sorted(set(packages))).encode()


def load(text: bytes) -> list[Package]:
    """Return the packages that `dump` wrote."""
    return [(url, name, version) for url, name, version in json.loads(text)]


def _modules(lines: Sequence[str]) -> Iterator[Package]:
    """Yield the modules that `go version -m` lists; a replaced module is followed by what replaces it."""
    parsed = [line.split("\t")[1:] for line in lines]
    for entry, following in zip(parsed, [*parsed[1:], [""]], strict=True):
        if entry[0] in {"mod", "dep", "=>"} and len(entry) > 2 and following[0] != "=>":
            yield f"pkg:golang/{quote(entry[1].lower())}", entry[1], entry[2]
