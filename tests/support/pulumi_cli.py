"""The real Pulumi CLI in a project of its own, with the plugins of `local` and nothing of the developer's."""

import json
import os
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedded.plugins.selection import PROVIDER_VERSION
from embedded.toolchain import binary
from embedded.toolchain.host import KUBERNETES_PROVIDER
from infra.stack.stack import Stack
from infra.versions import PULUMI_CLI, PULUMI_KUBERNETES

PASSPHRASE = "a passphrase of the tests"


@dataclass(frozen=True)
class Run:
    """How a command of the CLI ended, and what it printed on both outputs."""

    code: int
    text: str

    def fine(self) -> "Run":
        assert self.code == 0, self.text
        return self

    def failed(self) -> "Run":
        assert self.code != 0, self.text
        return self


@dataclass
class Project:
    """One program and one stack, `test`, on a backend of files."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        home = self.folder / "home"
        launcher = home / f"plugins/language-python-v{PULUMI_CLI}/pulumi-language-python"
        launcher.parent.mkdir(parents=True)
        command = f"{shlex.quote(sys.executable)} -P -m embedded.plugins.language"
        launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        launcher.chmod(0o755)
        provider = home / f"plugins/resource-kubernetes-v{PULUMI_KUBERNETES}/{KUBERNETES_PROVIDER}"
        provider.parent.mkdir()
        provider.symlink_to(binary(KUBERNETES_PROVIDER))
        (self.folder / "backend").mkdir()
        (self.folder / "Pulumi.yaml").write_text("name: test\nruntime: python\nmain: program.py\n")
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        self.env = {
            **kept,
            "PATH": f"{binary('pulumi').parent}:/usr/bin:/bin",
            "HOME": str(home),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **self.env,
        }
        self.run("stack", "init", "test").fine()

    def program(self, text: str) -> None:
        """Write the program; `k8s`, `pulumi` and `provider` are there."""
        head = """\
            import os, pathlib
            import pulumi
            import pulumi_kubernetes as k8s
            from infra.cluster.provider import kubernetes_provider
            kubeconfig = pathlib.Path("kubeconfig").read_text()
            kubeconfig = pulumi.Output.secret(kubeconfig)
            provider = kubernetes_provider("cluster", kubeconfig=kubeconfig, cluster_identifier="test")
            def on(**more): return pulumi.ResourceOptions(provider=provider, **more)
        """
        (self.folder / "program.py").write_text(textwrap.dedent(head) + textwrap.dedent(text))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the CLI in a process group of its own."""
        return subprocess.Popen(
            [str(binary("pulumi")), *arguments, "--non-interactive"],
            cwd=self.folder, env=self.env, text=True, process_group=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str) -> Run:
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=120)
        return Run(process.returncode, text)

    def up(self, *arguments: str) -> Run:
        return self.run("up", "-s", "test", "--yes", "--skip-preview", "--diff", *arguments)

    def preview(self, *arguments: str) -> Run:
        return self.run("preview", "-s", "test", "--diff", *arguments)

    def refresh(self, *arguments: str) -> Run:
        return self.run("refresh", "-s", "test", "--yes", "--skip-preview", "--diff", *arguments)

    def destroy(self, *arguments: str) -> Run:
        return self.run("destroy", "-s", "test", "--yes", "--skip-preview", *arguments)

    def state(self, *, secrets: bool = False) -> list[dict[str, Any]]:
        """Return the resources of the state, as the backend keeps them."""
        shown = ["--show-secrets"] if secrets else []
        text = self.run("stack", "export", "-s", "test", *shown).fine().text
        deployment: dict[str, Any] = json.loads(text)["deployment"]
        return list(deployment.get("resources", []))

    def resource(self, name: str) -> dict[str, Any]:
        """Return one resource of the state by its logical name."""
        [found] = [r for r in self.state() if r["urn"].endswith(f"::{name}")]
        return found

    def changes(self, *arguments: str) -> dict[str, int]:
        """Return what a preview would do, without what stays the same."""
        text = self.run("preview", "-s", "test", "--json", *arguments).fine().text
        summary: dict[str, int] = json.loads(text[text.index("{") :])["changeSummary"]
        return {step: count for step, count in summary.items() if step != "same"}


def install_slipway_plugin(home_of: Path) -> None:
    """Put the provider `slipway` into the PULUMI_HOME of the project or environment in this folder."""
    launcher = home_of / f"home/plugins/resource-slipway-v{PROVIDER_VERSION}/pulumi-resource-slipway"
    launcher.parent.mkdir()
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m infra.plugin "$@"\n')
    launcher.chmod(0o755)


def environment(folder: Path, passphrase: str = PASSPHRASE) -> dict[str, str]:
    """Return what `embedded.session` gives: a backend of files, and the passphrase in a file beside it."""
    folder.mkdir()
    env = dict(Project(folder).env)
    del env["PULUMI_CONFIG_PASSPHRASE"]
    (folder / "passphrase").write_text(passphrase)
    return {**env, "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase")}


def project(folder: Path, program: str) -> Path:
    """Make a project with the template of a stack `local`, whose program is `program`."""
    (folder / "stacks").mkdir(parents=True)
    (folder / "tenants").mkdir()
    (folder / "Pulumi.yaml").write_text("name: slipway\nruntime: python\nmain: program.py\n")
    (folder / "stacks/local.yaml").write_text("config:\n  slipway:platform:\n    environment: local\n")
    (folder / "program.py").write_text(textwrap.dedent(program))
    return folder


def driven_stack(folder: Path, program: str, kubeconfig: str) -> Stack:
    """Make a stack `local` of a project whose program is `program`, with its settings and its secret.

    Its environment is as `slipway` gives it: the passphrase in a file, the cluster in KUBECONFIG.
    """
    own = project(folder / "project", program)
    (own / "kubeconfig").write_text(kubeconfig)
    env = environment(folder / "environment")
    made = Stack("local", own, env | {"KUBECONFIG": str(own / "kubeconfig")})
    made.init()
    return made
