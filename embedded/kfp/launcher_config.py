"""The ConfigMap `kfp-launcher` and its Secret: where the runs of a namespace keep their artifacts.

The keys are those of the real backend's launcher, so the same objects serve both: `defaultPipelineRoot`, and
`providers`, a YAML string with `s3` and `minio`, each with a `default` and perhaps `overrides`.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

CONFIG_MAP: Final = "kfp-launcher"


class LauncherConfigError(Exception):
    """The launcher's configuration is missing or wrong; the message names the object and the key."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class SecretRef(_Model):
    """Which keys of which Secret hold the credentials."""

    secret_name: str
    access_key_key: str
    secret_key_key: str


class Credentials(_Model):
    """From the server's own environment, or from a Secret of the run's namespace."""

    from_env: bool = False
    secret_ref: SecretRef | None = None


class Endpoint(_Model):
    """One `default` of a provider."""

    endpoint: str = ""
    region: str = ""
    disable_ssl: bool = Field(default=False, alias="disableSSL")
    force_path_style: bool = True
    max_retries: int = 5
    credentials: Credentials | None = None


class Override(Endpoint):
    """Settings for one bucket or prefix."""

    bucket_name: str
    key_prefix: str = ""


class Provider(_Model):
    """`s3` or `minio`."""

    default: Endpoint | None = None
    overrides: tuple[Override, ...] = ()

    def for_object(self, bucket: str, key: str) -> Endpoint | None:
        """The first override that matches, or the default."""
        for override in self.overrides:
            prefix = override.key_prefix.strip("/")
            if override.bucket_name == bucket and (not prefix or f"{key}/".startswith(f"{prefix}/")):
                return override
        return self.default


class StoreAccess(BaseModel):
    """What a client needs to reach one store."""

    model_config = ConfigDict(frozen=True)

    endpoint_url: str | None
    region: str
    force_path_style: bool
    max_retries: int
    access_key: str | None = None
    secret_key: SecretStr | None = None

    def fingerprint(self) -> str:
        """Changes when anything does, credentials too; tells nothing about them."""
        secret = self.secret_key.get_secret_value() if self.secret_key else ""
        return hashlib.sha256(f"{self.model_dump_json()}\0{secret}".encode()).hexdigest()


class Objects(Protocol):
    """Reads the two kinds of object that the launcher's configuration is made of."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Data of a ConfigMap; None if there is none."""

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Data of a Secret; None if there is none."""


class LauncherConfig:
    """The configuration of one namespace."""

    def __init__(self, objects: Objects, namespace: str) -> None:
        """Read it now; raise LauncherConfigError if it isn't there or isn't valid."""
        self._objects = objects
        self._namespace = namespace
        data = objects.config_map(namespace, CONFIG_MAP)
        if data is None:
            raise LauncherConfigError(f"there is no ConfigMap {CONFIG_MAP} in namespace {namespace!r}")
        self.pipeline_root = data.get("defaultPipelineRoot", "").rstrip("/")
        self._providers = _providers(data.get("providers", ""))
        self._secrets: dict[str, Mapping[str, bytes] | None] = {}

    def access(self, scheme: str, bucket: str, key: str) -> StoreAccess:
        """How to reach an object; raise LauncherConfigError where no provider covers it."""
        provider = self._providers.get(scheme, Provider())
        chosen = provider.for_object(bucket, key)
        if chosen is None:
            raise LauncherConfigError(
                f"{CONFIG_MAP} in {self._namespace!r} has no provider for {scheme}://{bucket}"
            )
        url = None
        if chosen.endpoint:
            url = f"{'http' if chosen.disable_ssl else 'https'}://{chosen.endpoint.split('://')[-1]}"
        credentials = chosen.credentials or (provider.default and provider.default.credentials)
        if not credentials or (not credentials.from_env and credentials.secret_ref is None):
            raise LauncherConfigError(
                f"{CONFIG_MAP} in {self._namespace!r}: {scheme} has no credentials: set secretRef or fromEnv"
            )
        access_key, secret_key = (None, None)
        if credentials.secret_ref is not None and not credentials.from_env:
            access_key, secret_key = self._key(credentials.secret_ref)
        return StoreAccess(
            endpoint_url=url,
            region=chosen.region or "us-east-1",
            force_path_style=chosen.force_path_style,
            max_retries=chosen.max_retries,
            access_key=access_key,
            secret_key=secret_key,
        )

    def _key(self, reference: SecretRef) -> tuple[str, SecretStr]:
        name = reference.secret_name
        if name not in self._secrets:
            self._secrets[name] = self._objects.secret(self._namespace, name)
        data = self._secrets[name]
        if data is None:
            raise LauncherConfigError(
                f"there is no Secret {reference.secret_name} in namespace {self._namespace!r}"
            )
        try:
            access_key, secret_key = data[reference.access_key_key], data[reference.secret_key_key]
        except KeyError as error:
            raise LauncherConfigError(
                f"Secret {reference.secret_name} has no key {error.args[0]!r}"
            ) from None
        return access_key.decode().strip(), SecretStr(secret_key.decode().strip())


def _providers(text: str) -> dict[str, Provider]:
    try:
        raw = yaml.safe_load(text) or {}
        # `gs` is a provider of the real launcher; it isn't reachable from here and is left alone.
        return {name: Provider.model_validate(raw[name]) for name in ("s3", "minio") if name in raw}
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LauncherConfigError(f"{CONFIG_MAP}: providers: {place}: {first['msg']}") from None
    except (yaml.YAMLError, TypeError) as error:
        raise LauncherConfigError(f"{CONFIG_MAP}: providers is not valid YAML") from error


class FileObjects:
    """ConfigMaps and Secrets from a YAML file, for a server outside a cluster."""

    def __init__(self, path: Path) -> None:
        """`path` holds the objects as `kubectl apply` would take them."""
        self._path = path

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Data of a ConfigMap of the file."""
        found = self._find("ConfigMap", namespace, name)
        return None if found is None else dict(found.get("data") or {})

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Data of a Secret of the file."""
        found = self._find("Secret", namespace, name)
        if found is None:
            return None
        encoded = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        return encoded | {key: str(value).encode() for key, value in (found.get("stringData") or {}).items()}

    def _find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        for document in yaml.safe_load_all(self._path.read_text(encoding="utf-8")):
            metadata = (document or {}).get("metadata", {})
            # An object without a namespace stands for every namespace.
            sought = (kind, name, namespace)
            if document and sought == (
                document.get("kind"), metadata.get("name"), metadata.get("namespace", namespace)
            ):  # fmt: skip
                found: dict[str, Any] = document
                return found
        return None


class ClusterObjects:
    """ConfigMaps and Secrets from the cluster, by the pod's ServiceAccount."""

    def __init__(self) -> None:
        """Connect with the credentials that Kubernetes mounts into the pod."""
        from kubernetes import client, config  # noqa: PLC0415 - a second to load, only used in a cluster

        config.load_incluster_config()
        self._api = client.CoreV1Api()
        self._not_found = client.ApiException

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Data of a ConfigMap of the cluster."""
        found = self._read(self._api.read_namespaced_config_map, "ConfigMap", namespace, name)
        return None if found is None else dict(found.data or {})

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Data of a Secret of the cluster."""
        found = self._read(self._api.read_namespaced_secret, "Secret", namespace, name)
        return (
            None
            if found is None
            else {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
        )

    def _read(self, read: Any, kind: str, namespace: str, name: str) -> Any:  # noqa: ANN401 - untyped client
        try:
            return read(name, namespace, _request_timeout=10)
        except self._not_found as error:
            if error.status == 404:
                return None
            raise LauncherConfigError(
                f"{kind} {name} in namespace {namespace!r} can't be read: {error.reason}"
            ) from None
