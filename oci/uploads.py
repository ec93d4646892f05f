"""Uploads of blobs: only what is missing, and continued where the connection broke."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import httpx

from oci.client import ContentError, ImageRegistry
from oci.manifests import Descriptor
from slipway.core.errors import FailedError

_CONTINUED: Final = 4
"""How often an upload is continued after the connection broke."""
_PAUSE_SECONDS: Final = 1.0
_WRONG_OFFSET: Final = 416
"""The registry wrote more of the broken request after it had said how far it was."""
_LOST: Final = frozenset({400, 404, 416})
"""Answers to the question how far an upload is, by which the registry says that it can't be continued."""

Read = Callable[[int], Iterable[bytes]]
"""Returns the content of a blob from an offset in bytes on."""


def upload(
    registry: ImageRegistry, repository: str, blob: Descriptor, read: Read, *, mount_from: str | None = None
) -> int:
    """Make a blob available in a repository.

    Args:
        registry: Where to.
        repository: In which repository.
        blob: Its digest and size; the registry verifies the digest.
        read: Gives the content; only called if the registry does not have it.
        mount_from: Another repository of this registry that has the blob, perhaps.

    Returns:
        The bytes that were sent: 0 if the blob was there already.

    Raises:
        UsageError: The account may not write here.
        FailedError: The registry failed; the next call continues with the other blobs.
    """
    if registry.has_blob(repository, blob.digest):
        return 0
    location = _start(registry, repository, blob, mount_from)
    if location is None:
        return 0
    return _Upload(registry, repository, blob, read, location).run()


def check_access(registry: ImageRegistry, repository: str) -> None:
    """Open an upload and cancel it: whether the registry answers and the account may write.

    Raises:
        UsageError: The account may not.
        FailedError: The registry failed.
    """
    location = _start(registry, repository, None, None)
    if location is not None:
        registry.send("DELETE", location, repository=repository, push=True)


def _start(
    registry: ImageRegistry, repository: str, blob: Descriptor | None, mount_from: str | None
) -> httpx.URL | None:
    """Open an upload and return its URL, or None if the registry took the blob from the other repository."""
    query = f"?mount={blob.digest}&from={mount_from}" if blob and mount_from else ""
    response = registry.send("POST", f"{repository}/blobs/uploads/{query}", push=True, headers=_EMPTY)
    registry.expect(response, {201, 202}, f"write to {repository}")
    return None if response.status_code == 201 else _location(response)


_EMPTY: Final = {"content-length": "0"}


class _Upload:
    """One upload: sent in one request while nothing breaks."""

    def __init__(
        self, registry: ImageRegistry, repository: str, blob: Descriptor, read: Read, location: httpx.URL
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._blob = blob
        self._read = read
        self._location = location
        self._sent = 0

    def run(self) -> int:
        """Send the blob and finish the upload; return the bytes that were sent."""
        offset = 0
        for attempt in range(_CONTINUED + 1):
            is_last = attempt == _CONTINUED
            try:
                response = self._patch(offset)
                if response.status_code != _WRONG_OFFSET or is_last:
                    break
            except ContentError:
                raise
            except FailedError:  # the connection broke; a refusal is a response
                if is_last:
                    raise
            time.sleep(_PAUSE_SECONDS * attempt)
            offset = self._received()
        self._registry.expect(response, {202, 204}, self._action)
        self._finish(_location(response))
        return self._sent

    def _patch(self, offset: int) -> httpx.Response:
        size = self._blob.size - offset
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        if offset:
            headers["content-range"] = f"{offset}-{self._blob.size - 1}"
        return self._send("PATCH", self._location, headers, lambda: self._counted(offset))

    def _counted(self, offset: int) -> Iterator[bytes]:
        position = offset
        for part in self._read(offset):
            position += len(part)
            if position > self._blob.size:
                break
            yield part
            self._sent += len(part)
        if position != self._blob.size:
            raise ContentError(
                f"The content of {self._blob.digest} is not what its manifest says.",
                why=f"It has {position} bytes or more, and {self._blob.size} are expected.",
                fix="The registry that it comes from is damaged: have the image published there again.",
            )

    def _received(self) -> int:
        """Return how many bytes the registry has; open a new upload where this one can't be continued."""
        response = self._send("GET", self._location, {}, None)
        if response.status_code in _LOST:
            restarted = _start(self._registry, self._repository, self._blob, None)
            assert restarted, "without another repository there is nothing to take over"
            self._location = restarted
            return 0
        self._registry.expect(response, {204}, self._action)
        if "location" in response.headers:
            self._location = _location(response)
        last = response.headers.get("range", "0-0").rpartition("-")[2]
        return int(last) + 1 if int(last) else 0

    def _finish(self, location: httpx.URL) -> None:
        url = location.copy_add_param("digest", self._blob.digest)
        response = self._send("PUT", url, _EMPTY, None)
        self._registry.expect(response, {201, 204}, self._action)

    def _send(
        self,
        method: str,
        url: httpx.URL,
        headers: dict[str, str],
        content: Callable[[], Iterable[bytes]] | None,
    ) -> httpx.Response:
        return self._registry.send(
            method,
            url,
            headers=headers,
            content=content,
            repository=self._repository,
            push=True,
            retry=content is None,
        )

    @property
    def _action(self) -> str:
        return f"store {self._blob.digest} in {self._repository}"


def _location(response: httpx.Response) -> httpx.URL:
    return response.request.url.join(response.headers["location"])
