"""The ConfigMap `kfp-launcher` and its Secret: where the runs of a namespace store their artifacts.

The keys are those of the upstream launcher, so both can use the same objects: `defaultPipelineRoot`, and
`providers`, a YAML string with `s3` and `minio`, each with a `default` and optional `overrides`.
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
    """The launcher's configuration is missing or not valid; the message names the object and the key."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class SecretRef(_Model):
    """The Secret and the keys that contain the credentials."""

    secret_name: str
    access_key_key: str
    secret_key_key: str


class Credentials(_Model):
    """Credentials from the server's environment or from a Secret in the run's namespace."""

    from_env: bool = False
    secret_ref: SecretRef | None = None


class ProviderEndpoint(_Model):
    """The settings of a provider."""

    endpoint: str = ""
    region: str = ""
    disable_ssl: bool = Field(default=False, alias="disableSSL")
    force_path_style: bool = True
    max_retries: int = 5
    credentials: Credentials | None = None


class Override(ProviderEndpoint):
    """Settings for a bucket or prefix."""

    bucket_name: str
    key_prefix: str = ""


class Provider(_Model):
    """`s3` or `minio`."""

    default: ProviderEndpoint | None = None
    overrides: tuple[Override, ...] = ()

    def for_object(self, bucket: str, key: str) -> ProviderEndpoint | None:
        """The first matching override, or the default."""
        for override in self.overrides:
            prefix = override.key_prefix.strip("/")
            if override.bucket_name == bucket and (not prefix or f"{key}/".startswith(f"{prefix}/")):
                return override
        return self.default


class ArtifactStoreAccess(BaseModel):
    """Endpoint and credentials of an artifact store."""

    model_config = ConfigDict(frozen=True)

    endpoint_url: str | None
    region: str
    force_path_style: bool
    max_retries: int
    access_key: str | None = None
    secret_key: SecretStr | None = None

    def fingerprint(self) -> str:
        """A hash of all settings and credentials, from which the credentials can't be derived."""
        secret = self.secret_key.get_secret_value() if self.secret_key else ""
        return hashlib.sha256(f"{self.model_dump_json()}\0{secret}".encode()).hexdigest()


class Objects(Protocol):
    """Reads ConfigMaps and Secrets."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap; None if it does not exist."""

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """The data of a Secret; None if it does not exist."""


class LauncherConfig:
    """The launcher's configuration in a namespace."""

    def __init__(self, objects: Objects, namespace: str) -> None:
        """Read the configuration; raise LauncherConfigError if it is missing or not valid."""
        self._objects = objects
        self._namespace = namespace
        data = objects.config_map(namespace, CONFIG_MAP)
        if data is None:
            raise LauncherConfigError(f"there is no ConfigMap {CONFIG_MAP} in namespace {namespace!r}")
        self.pipeline_root = data.get("defaultPipelineRoot", "").rstrip("/")
        self._providers = _providers(data.get("providers", ""))
        self._secrets: dict[str, Mapping[str, bytes] | None] = {}

    def access(self, scheme: str, bucket: str, key: str) -> ArtifactStoreAccess:
        """The settings for an object; raise LauncherConfigError if no provider covers it."""
        provider = self._providers.get(scheme, Provider())
        endpoint = provider.for_object(bucket, key)
        if endpoint is None:
            raise LauncherConfigError(
                f"{CONFIG_MAP} in {self._namespace!r} has no provider for {scheme}://{bucket}"
            )
        url = None
        if endpoint.endpoint:
            url = f"{'http' if endpoint.disable_ssl else 'https'}://{endpoint.endpoint.split('://')[-1]}"
        credentials = endpoint.credentials or (provider.default and provider.default.credentials)
        if not credentials or (not credentials.from_env and credentials.secret_ref is None):
            raise LauncherConfigError(
                f"{CONFIG_MAP} in {self._namespace!r}: {scheme} has no credentials: set secretRef or fromEnv"
            )
        access_key, secret_key = (None, None)
        if credentials.secret_ref is not None and not credentials.from_env:
            access_key, secret_key = self._key(credentials.secret_ref)
        return ArtifactStoreAccess(
            endpoint_url=url,
            region=endpoint.region or "us-east-1",
            force_path_style=endpoint.force_path_style,
            max_retries=endpoint.max_retries,
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
        # Upstream also has the provider `gs`, which is not supported here and is ignored.
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
        """`path` is a file of manifests, as for `kubectl apply`."""
        self._path = path

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap in the file."""
        manifest = self._find("ConfigMap", namespace, name)
        return None if manifest is None else dict(manifest.get("data") or {})

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """The data of a Secret in the file."""
        manifest = self._find("Secret", namespace, name)
        if manifest is None:
            return None
        encoded = {key: base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()}
        return encoded | {
            key: str(value).encode() for key, value in (manifest.get("stringData") or {}).items()
        }

    def _find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        for document in yaml.safe_load_all(self._path.read_text(encoding="utf-8")):
            metadata = (document or {}).get("metadata", {})
            # An object without a namespace applies to every namespace.
            identity = (kind, name, namespace)
            if document and identity == (
                document.get("kind"), metadata.get("name"), metadata.get("namespace", namespace)
            ):  # fmt: skip
                manifest: dict[str, Any] = document
                return manifest
        return None


class ClusterObjects:
    """ConfigMaps and Secrets from the cluster, read as the pod's ServiceAccount."""

    def __init__(self) -> None:
        """Use the credentials that Kubernetes mounts into the pod."""
        from kubernetes import client, config  # noqa: PLC0415 - takes a second, and is only needed in a cluster

        config.load_incluster_config()
        self._api = client.CoreV1Api()
        self._not_found = client.ApiException

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a ConfigMap in the cluster."""
        manifest = self._read(self._api.read_namespaced_config_map, "ConfigMap", namespace, name)
        return None if manifest is None else dict(manifest.data or {})

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """The data of a Secret in the cluster."""
        manifest = self._read(self._api.read_namespaced_secret, "Secret", namespace, name)
        return (
            None
            if manifest is None
            else {key: base64.b64decode(value) for key, value in (manifest.data or {}).items()}
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
