"""Where the cluster is and who we are there: a kubeconfig, as its path or its text."""

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from slipway.core.errors import FailedError, UsageError

_EXEC_TIMEOUT: Final = 60


@dataclass(frozen=True)
class Connection:
    """Everything that a client needs; holds credentials, so it has no useful `repr`."""

    server: str
    namespace: str = "default"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Choice:
    """What the provider's settings choose of a kubeconfig."""

    kubeconfig: str = field(default="", repr=False)
    context: str = ""
    cluster: str = ""


def connect(choice: Choice) -> Connection:
    """Read the chosen kubeconfig.

    Raises:
        UsageError: when there is none, or it does not say what is needed.
    """
    config, folder = _load(choice.kubeconfig)
    context = _context(config, choice.context)
    cluster_name = choice.cluster or context.get("cluster", "")
    cluster = _entry(config, "clusters", cluster_name, "cluster")
    user = _entry(config, "users", context["user"], "user") if context.get("user") else {}
    server = str(cluster.get("server", "")).rstrip("/")
    if not server:
        raise UsageError(f"The kubeconfig's cluster {cluster_name!r} names no server.")
    user = {**user, **_from_plugin(user["exec"], folder)} if "exec" in user else user
    if "auth-provider" in user:
        raise UsageError(
            "The kubeconfig's user has an auth-provider, which Kubernetes gave up in 1.26.",
            fix="Use an exec plugin, a token or a client certificate.",
        )
    return Connection(
        server=server,
        namespace=str(context.get("namespace") or "default"),
        headers=_headers(user, folder),
        tls=_tls(cluster, user, folder) if server.startswith("https:") else None,
    )


def server_of(choice: Choice) -> str | None:
    """Return the address that a kubeconfig leads to, or None if it can't be told."""
    try:
        config, _folder = _load(choice.kubeconfig)
        name = choice.cluster or _context(config, choice.context).get("cluster", "")
        return str(_entry(config, "clusters", name, "cluster").get("server", ""))
    except UsageError:
        return None


def _load(kubeconfig: str) -> tuple[dict[str, Any], Path]:
    if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{"):
        return _parse(kubeconfig, "the provider's kubeconfig"), Path.cwd()
    named = kubeconfig or os.environ.get("KUBECONFIG", "") or "~/.kube/config"
    candidates = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    for path in candidates:
        if path.is_file():
            return _parse(path.read_text(), str(path)), path.resolve().parent
    raise UsageError(
        f"There is no kubeconfig at {named}.",
        fix="Set the provider's kubeconfig (a path or the text), or KUBECONFIG.",
    )


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"{source} is not valid YAML.") from None
    if not isinstance(config, dict) or "clusters" not in config:
        raise UsageError(f"{source} is not a kubeconfig: it has no clusters.")
    return config


def _context(config: dict[str, Any], wanted: str) -> dict[str, Any]:
    name = wanted or config.get("current-context", "")
    if not name:
        contexts = config.get("contexts") or []
        if len(contexts) != 1:
            raise UsageError("The kubeconfig has no current context.", fix="Set the provider's context.")
        name = contexts[0]["name"]
    return _entry(config, "contexts", name, "context")


def _entry(config: dict[str, Any], section: str, name: str, key: str) -> dict[str, Any]:
    for item in config.get(section) or []:
        if item.get("name") == name:
            return dict(item.get(key) or {})
    known = ", ".join(item.get("name", "?") for item in config.get(section) or []) or "none"
    raise UsageError(f"The kubeconfig has no {key} {name!r}; it has {known}.")


def _headers(user: dict[str, Any], folder: Path) -> dict[str, str]:
    token = user.get("token", "")
    if not token and user.get("tokenFile"):
        token = (folder / user["tokenFile"]).read_text().strip()
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        # The ssl module reads certificates from files alone; this one is private and gone at once.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _pem(entry: dict[str, Any], name: str, folder: Path) -> bytes:
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"])
    if entry.get(name):
        path = folder / str(entry[name])
        try:
            return path.read_bytes()
        except OSError as error:
            raise UsageError(f"The kubeconfig's {name} {path} can't be read: {error.strerror}.") from None
    return b""


def _from_plugin(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Ask a credential plugin, as client-go does."""
    command = [str(spec.get("command", "")), *(spec.get("args") or [])]
    if "/" in command[0]:
        command[0] = str(folder / command[0])
    extra = {item["name"]: item["value"] for item in spec.get("env") or []}
    request = {"apiVersion": spec.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(request)}
    try:
        answer = subprocess.run(
            command, env=environment, capture_output=True, check=True, timeout=_EXEC_TIMEOUT
        )
        status = json.loads(answer.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise FailedError(
            f"The kubeconfig's credential plugin {command[0]} gave no credential.", why=type(error).__name__
        ) from None
    found = {"token": status.get("token", "")}
    if status.get("clientCertificateData"):
        found["client-certificate-data"] = base64.b64encode(status["clientCertificateData"].encode()).decode()
        found["client-key-data"] = base64.b64encode(status["clientKeyData"].encode()).decode()
    return found
