"""Requests to one image registry, by the OCI distribution specification: manifests and blobs by digest.

Answers are checked against the digest that was asked for. Requests that can be repeated are, when the
registry does not answer or is busy; uploads continue where they were cut (uploads.py).
"""

import hashlib
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

import httpx

from oci import failures, manifests
from oci.access import Access, Scope
from oci.login import Login
from oci.manifests import Descriptor, Manifest
from oci.references import DOCKER_HUB, Reference
from slipway.core.errors import FailedError, UsageError

CHUNK: Final = 1 << 20
_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_PAUSES: Final = (0.5, 1.0, 2.0)
_BUSY: Final = frozenset({429, 502, 503, 504})
_MANIFEST_BYTES: Final = 4 << 20
"""The size up to which registries accept manifests."""

Content = bytes | Callable[[], Iterable[bytes]]


class ContentError(FailedError):
    """A registry sent other content than was asked for; the same request would get it again."""


class ImageRegistry:
    """One registry, with the account that is used there."""

    def __init__(
        self,
        address: str,
        login: Login | None = None,
        *,
        ca_file: Path | None = None,
        plain_http: bool = False,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            address: Host name, with the port if it is not 443.
            login: The account; None for anonymous access.
            ca_file: CA certificates that are trusted in addition to the machine's.
            plain_http: Whether to speak HTTP without TLS, which is accepted for this machine alone.

        Raises:
            UsageError: The CA certificates can't be read, or plain HTTP would leave this machine.
        """
        if plain_http and not _is_loopback(address):
            raise UsageError(
                f"{address} is not on this machine, so plain HTTP is refused.",
                why="Logins and images would cross the network without encryption.",
                fix="Leave --plain-http out; a private CA is given with --ca-file.",
            )
        self.address = address
        self._access = Access(address, login, plain_http=plain_http)
        host = "registry-1.docker.io" if address == DOCKER_HUB else address
        self._base = httpx.URL(f"{'http' if plain_http else 'https'}://{host}/v2/")
        self._http = httpx.Client(
            verify=_trust(ca_file),
            timeout=_TIMEOUT,
            follow_redirects=True,
            headers={"user-agent": "slipway"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def digest(self, reference: Reference) -> str | None:
        """Return the digest that the reference has now, or None if the registry does not have it."""
        response = self.send("HEAD", f"{reference.repository}/manifests/{reference.target}", accept=True)
        if response.status_code == 404:
            return None
        self.expect(response, {200}, f"read {reference}")
        said = response.headers.get("docker-content-digest", "")
        return said if manifests.is_digest(said) else self.manifest(reference).digest

    def manifest(self, reference: Reference) -> Manifest:
        """Return the manifest or index of the reference, verified by its digest.

        Raises:
            UsageError: There is none, or the account may not read it.
            FailedError: The registry failed, or sent something else.
        """
        response = self.send("GET", f"{reference.repository}/manifests/{reference.target}", accept=True)
        self.expect(response, {200}, f"read {reference}")
        content = response.content
        if len(content) > _MANIFEST_BYTES:
            raise FailedError(f"The manifest of {reference} is larger than {_MANIFEST_BYTES >> 20} MiB.")
        found = manifests.read(content, response.headers.get("content-type", ""))
        if reference.digest and found.digest != reference.digest:
            raise _changed(str(reference), found.digest)
        return found

    def put_manifest(self, repository: str, manifest: Manifest, tag: str | None = None) -> bool:
        """Write a manifest by its digest, or under a tag.

        Returns:
            Whether the registry itself lists the manifest for its subject.
        """
        path = f"{repository}/manifests/{tag or manifest.digest}"
        headers = {"content-type": manifest.media_type}
        response = self.send("PUT", path, headers=headers, content=manifest.content, push=True)
        self.expect(response, {201}, f"store the manifest {tag or manifest.digest} in {repository}")
        return "oci-subject" in response.headers

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob."""
        response = self.send("HEAD", f"{repository}/blobs/{digest}", push=True)
        if response.status_code == 404:
            return False
        self.expect(response, {200}, f"look for {digest} in {repository}")
        return True

    def read_blob(self, repository: str, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """Yield the content of a blob from `offset` bytes on; verified by its digest if read from the start.

        Raises:
            FailedError: The registry failed.
            ContentError: It sent something else; raised at the end of the content.
        """
        headers = {"range": f"bytes={offset}-"} if offset else {}
        received = hashlib.sha256()
        with self.stream(f"{repository}/blobs/{blob.digest}", headers) as response:
            self.expect(response, {200, 206}, f"read {blob.digest} from {repository}")
            skipped = offset if response.status_code == 200 else 0  # a registry may ignore Range
            for part in response.iter_bytes(CHUNK):
                kept, skipped = part[skipped:], max(0, skipped - len(part))
                if not offset:
                    received.update(kept)
                yield kept
        if not offset and f"sha256:{received.hexdigest()}" != blob.digest:
            raise _changed(f"{repository}@{blob.digest}", f"sha256:{received.hexdigest()}")

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open a GET whose content is read in parts; a network error raises FailedError."""
        scope = _scope(path, push=False)
        try:
            response = self._send_once("GET", self._base.join(path), headers, None, scope, stream=True)
            try:
                if response.is_error:
                    response.read()
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise failures.unreachable(error, self.address) from error

    def send(
        self,
        method: str,
        path: str | httpx.URL,
        *,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
        accept: bool = False,
        push: bool = False,
        repository: str | None = None,
        retry: bool = True,
    ) -> httpx.Response:
        """Send a request and return the answer, whatever its status; authenticate if necessary.

        Args:
            method: HTTP method.
            path: Path below /v2/, or the URL of an upload.
            headers: Additional headers.
            content: The body; or a function that returns it, for each attempt.
            accept: Whether manifests are accepted as the answer.
            push: Whether the right to write is needed.
            repository: The repository, where `path` is a URL.
            retry: Whether to repeat the request if the registry is busy or does not answer.

        Raises:
            UsageError, FailedError: There was no answer, or the login is wrong.
        """
        url = self._base.join(path)
        sent = {**(headers or {}), **({"accept": manifests.ACCEPTED} if accept else {})}
        scope = (repository, "push") if repository else _scope(str(path), push=push)
        for pause in (*_PAUSES, None) if retry else (None,):
            try:
                response = self._send_once(method, url, sent, content, scope)
            except httpx.TransportError as error:
                failure = failures.unreachable(error, self.address)
                if pause is None or isinstance(failure, UsageError):
                    raise failure from error
            except httpx.HTTPError as error:
                raise failures.unreachable(error, self.address) from error
            else:
                if pause is None or response.status_code not in _BUSY:
                    return response
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def expect(self, response: httpx.Response, statuses: set[int], action: str) -> None:
        """Raise the error that explains the response, unless its status is one of these."""
        if response.status_code not in statuses:
            has_login = self._access.login is not None
            raise failures.explain(response, self.address, action, has_login=has_login)

    def _send_once(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: Content | None,
        scope: Scope,
        *,
        stream: bool = False,
    ) -> httpx.Response:
        # Two further attempts: one for the login, one for a token that expired meanwhile.
        for last in (False, False, True):
            known = self._access.header(scope) if self._is_own(url) else None
            request = self._http.build_request(
                method,
                url,
                headers={**headers, **({"authorization": known} if known else {})},
                content=content() if callable(content) else content,
            )
            response = self._http.send(request, stream=stream)
            if last or response.status_code != 401 or not self._is_own(response.request.url):
                break
            response.close()
            if not self._access.answer(self._http, response, scope):
                break
        return response

    def _is_own(self, url: httpx.URL) -> bool:
        """Whether the URL is the registry's: an upload or a download may be redirected elsewhere."""
        return (url.scheme, url.netloc) == (self._base.scheme, self._base.netloc)


def _scope(path: str, *, push: bool) -> Scope:
    for part in ("/manifests/", "/blobs/", "/referrers/"):
        repository, found, _ = path.partition(part)
        if found:
            return repository, "push" if push else "pull"
    return "", "pull"


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else None
            raise UsageError(
                f"The CA certificates in {ca_file} can't be read.",
                why=f"{reason or 'The file has no certificate in PEM form'}.",
                fix="Pass the file of the registry's CA certificate, not of its key, with --ca-file.",
            ) from error
    return context


def _is_loopback(address: str) -> bool:
    host = httpx.URL(f"http://{address}").host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _changed(name: str, found: str) -> ContentError:
    return ContentError(
        f"The registry sent something else than {name}.",
        why=f"The content's digest is {found}.",
        fix="Run the same command again; if it stays so, the registry or a proxy before it is damaged.",
    )
