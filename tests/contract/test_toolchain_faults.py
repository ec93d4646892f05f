"""The real Go on a full disk, without a network, and with one that fails half-way."""

import http.server
import json
import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.toolchain import build, golang, tools
from embedded.toolchain.tools import TOOLS, Binary, Tool
from slipway.core.errors import FailedError

pytestmark = pytest.mark.contract

_SEMVER = "github.com/coreos/go-semver"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_disk(cache):
    cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", cache], check=True)
    yield cache
    subprocess.run(["umount", cache], check=True)


def _entries(root: Path) -> list[Path]:
    return [path for path in root.glob("tools/*/*") if path.name != ".lock"]


def test_a_full_disk_is_named_and_with_room_the_rerun_converges(small_disk):
    with pytest.raises(FailedError) as caught:
        build.binary("pause")
    assert caught.value.why.startswith("The disk is full.")
    assert _entries(small_disk) == []
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert (
        subprocess.run(["timeout", "--preserve-status", "0.3", build.binary("pause")], check=False).returncode
        == 0
    )


@pytest.fixture
def semver(tmp_path, monkeypatch) -> Tool:
    """A small tool with one dependency, pinned by the lines of etcd's go.sum."""
    [version] = {
        line.split()[1]
        for line in (TOOLS["etcd"].folder / "go.sum").read_text().splitlines()
        if line.startswith(f"{_SEMVER} ") and not line.split()[1].endswith("/go.mod")
    }
    folder = tmp_path / "go" / "semver"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text(
        f"module slipway.dev/toolchain/semver\n\ngo 1.24\n\nrequire {_SEMVER} {version}\n"
    )
    (folder / "go.sum").write_text(
        "".join(
            line
            for line in (TOOLS["etcd"].folder / "go.sum").read_text().splitlines(keepends=True)
            if line.startswith(f"{_SEMVER} {version}")
        )
    )
    (folder / "main.go").write_text(
        f'package main\n\nimport "{_SEMVER}/semver"\n\n'
        'func main() { println(semver.New("1.2.3").String()) }\n'
    )
    tool = Tool("semver", _SEMVER, version, (Binary("semver", "slipway.dev/toolchain/semver"),), 1)
    monkeypatch.setattr(build, "BINARIES", {"semver": tool})
    monkeypatch.setattr(tools, "SOURCES", tmp_path / "go")
    return tool


@pytest.fixture
def downloads(semver) -> Path:
    """The part of the module cache that is laid out as a proxy; filled by Go's own settings."""
    subprocess.run(["go", "mod", "download"], cwd=semver.folder, check=True)
    answer = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip()) / "cache" / "download"


@pytest.fixture
def empty_modules(tmp_path, monkeypatch, downloads):
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("GOFLAGS", f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip())


class _Proxy(http.server.ThreadingHTTPServer):
    """A module proxy on loopback that breaks off every answer after so many bytes."""

    bytes_per_answer: int | None = None


def _handler(folder: Path) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        server: _Proxy

        def do_GET(self):
            path = folder / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            body = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: self.server.bytes_per_answer])
            self.close_connection = True

        def log_message(self, *_args):
            pass

    return Handler


@pytest.fixture
def proxy(downloads, monkeypatch) -> Iterator[_Proxy]:
    server = _Proxy(("127.0.0.1", 0), _handler(downloads))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_download_is_named_and_a_rerun_converges(cache, semver, empty_modules, proxy):
    proxy.bytes_per_answer = 50
    with pytest.raises(FailedError) as caught:
        build.binary("semver")
    assert caught.value.why.startswith("The package registry could not be reached.")
    assert "run the command again" in caught.value.fix
    assert _entries(cache) == []
    proxy.bytes_per_answer = None
    path = build.binary("semver")
    assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == "1.2.3\n"


@pytest.fixture
def tampered(downloads, semver, proxy, tmp_path):
    """The proxy serves the same version with one line more in one file."""
    served = tmp_path / "tampered"
    shutil.copytree(downloads / _SEMVER / "@v", served / _SEMVER / "@v")
    archive = served / _SEMVER / "@v" / f"{semver.version}.zip"
    with (
        zipfile.ZipFile(downloads / _SEMVER / "@v" / archive.name) as old,
        zipfile.ZipFile(archive, "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"\n// more\n" if name.endswith("semver.go") else b""))
    proxy.RequestHandlerClass = _handler(served)


def test_a_proxy_that_serves_something_else_is_refused(cache, semver, empty_modules, tampered):
    with pytest.raises(FailedError) as caught:
        build.binary("semver")
    assert caught.value.why.startswith("What was downloaded is not what go.sum pins; it was refused.")
    assert "Don't switch verification off" in caught.value.fix
    assert _entries(cache) == []


def test_no_proxy_at_all_is_named(cache, semver, empty_modules, monkeypatch):
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(FailedError, match="GOPROXY is off"):
        build.binary("semver")


def test_nobody_at_the_proxys_address_is_named(cache, semver, empty_modules, monkeypatch):
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:1")
    with pytest.raises(FailedError, match="registry could not be reached"):
        build.binary("semver")


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_go_accepts_each_committed_module_as_it_is(tool, tmp_path):
    go = golang.find()
    # What the source embeds of the module itself is there at a build only.
    (tmp_path / "embedded").touch()
    overlay = tmp_path / "overlay.json"
    replaced = {str(tool.folder / name): str(tmp_path / "embedded") for name in tool.files}
    overlay.write_text(json.dumps({"Replace": replaced}))
    packages = [binary.package for binary in tool.binaries]
    found = subprocess.run(
        [
            go.command,
            "list",
            "-mod=readonly",
            f"-overlay={tmp_path / 'overlay.json'}",
            "-f",
            "{{.Name}} {{.ImportPath}}",
            *packages,
        ],
        cwd=tool.folder,
        env=golang.environment(go),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.splitlines() == [f"main {package}" for package in packages], found.stderr
