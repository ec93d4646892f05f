"""The LanguageRuntime service: starts the program in its own process and reports how it ended."""

# ruff: noqa: N802  the protocol names the methods

import importlib.metadata
import json
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from embedded.plugins.language.program import Ending
from infra.versions import PULUMI_CLI
from slipway.provider import serving

GRACE_SECONDS: Final = 3.0
"""Between asking a program to end and killing it; the CLI allows the host 5 s in total."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """One per CLI; runs one program at a time, or several when the CLI asks for them."""

    def __init__(self, engine: str) -> None:
        """Keep the address at which the engine receives log messages."""
        self._engine = engine
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Answer the CLI's first call; there is nothing to agree on."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version of the CLI that this host was made for."""
        return plugin_pb2.PluginInfo(version=PULUMI_CLI)

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """Name none: the CLI would try to download those that it doesn't find."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """Name none, as `GetRequiredPackages`."""
        return language_pb2.GetRequiredPluginsResponse()

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install nothing: the host runs in the environment that the program is locked to."""
        yield from ()

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """Ask nothing."""
        return language_pb2.RuntimeOptionsResponse()

    def About(
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        """Name the interpreter."""
        return language_pb2.AboutResponse(
            executable=sys.executable,
            version=platform.python_version(),
            metadata={"host": "embedded stand-in of Slipway"},
        )

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the distributions of the environment."""
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package.name, version=package.version)
                for package in sorted(importlib.metadata.distributions(), key=lambda each: each.name.lower())
            ]
        )

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End the programs that run."""
        self.end_programs()
        return empty_pb2.Empty()

    def Run(
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run the program to its end."""
        try:
            code = self._run(request)
        except OSError as error:
            return language_pb2.RunResponse(error=f"the program could not be started: {error}")
        return response(code)

    def _run(self, request: language_pb2.RunRequest) -> int:
        command = [sys.executable, "-u", "-P", "-m", "embedded.plugins.language.program"]
        with self._lock:
            if self._ended:
                return Ending.TOLD
            child = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=request.pwd or None)
            self._running.add(child)
        try:
            assert child.stdin is not None
            # The pipe stays open while the child runs: its end shows the child that the host has ended.
            child.stdin.write(json.dumps(self._orders(request)).encode() + b"\n")
            child.stdin.flush()
            return child.wait()
        except BrokenPipeError:
            return child.wait()
        finally:
            with self._lock:
                self._running.discard(child)
            if child.stdin is not None:
                child.stdin.close()

    def _orders(self, request: language_pb2.RunRequest) -> dict[str, Any]:
        """Return the child's input; it may contain secrets of the stack, so it is never in argv or env."""
        info = request.info
        directory = Path(info.program_directory or request.pwd)
        entry = info.entry_point or request.program
        return {
            "program": str(directory / entry),
            "args": list(request.args),
            "settings": {
                "project": request.project,
                "stack": request.stack,
                "organization": request.organization or "organization",
                "root_directory": info.root_directory or None,
                "parallel": request.parallel,
                "engine": self._engine,
                "monitor": request.monitor_address,
                "dry_run": request.dryRun,
            },
            "config": dict(request.config),
            "secret_keys": list(request.configSecretKeys),
        }

    def end_programs(self) -> None:
        """End every program that runs, and start no more."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for child in running:
            child.terminate()
        for child in running:
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def response(code: int) -> language_pb2.RunResponse:
    """Return the response to the CLI for a program that ended with `code`."""
    if code == Ending.DONE:
        return language_pb2.RunResponse()
    if code == Ending.TOLD:
        return language_pb2.RunResponse(bail=True)
    if code < 0:
        return language_pb2.RunResponse(error=f"the program was ended by signal {-code}")
    return language_pb2.RunResponse(error=f"the program ended with exit code {code}")


def main(argv: Sequence[str]) -> None:
    """Serve until the CLI ends."""
    host = Host(serving.engine_address(argv))
    serving.serve(
        lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server),
        host.end_programs,
    )
