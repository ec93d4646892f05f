"""A MinIO that Slipway administers, opened with its administrator's key: objects and admin API."""

from typing import Final
from urllib.parse import urlsplit

from minio import Minio

from slipway.core.errors import FailedError, UsageError
from slipway.core.waiting import poll
from storage.administration import ERRORS, OF_THE_KEY, OTHER_KEY, code_of, http_pool, open_admin
from storage.causes import Cause, cause_of, explain
from storage.client import StoreAccess
from storage.keys import StoreKey

_PATIENCE: Final = 90.0


class Store:
    """A MinIO and its administrator's key."""

    def __init__(self, access: StoreAccess) -> None:
        parts = urlsplit(access.endpoint or "")
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(
                f"S3_ENDPOINT is {access.endpoint!r}, which is not a URL.", fix="Give http://host:port."
            )
        self.endpoint = parts.geturl()
        self._access = access
        self._pool = http_pool(access, retries=0)
        self.admin = open_admin(access, retries=0)
        assert access.key
        self.objects = self.opened_by(access.key)

    def opened_by(self, key: StoreKey) -> Minio:
        """Return a client with another key."""
        parts = urlsplit(self.endpoint)
        return Minio(
            parts.netloc,
            key.access_key,
            key.secret_key.get_secret_value(),
            secure=parts.scheme == "https",
            region=self._access.region,
            http_client=self._pool,
        )

    def wait(self, patience: float = _PATIENCE) -> None:
        """Return when the store accepts the administrator's key.

        Raises:
            FailedError: It does not answer in time, or it refuses the key.
        """
        code = poll(self._not_yet, lambda code: code is None, seconds=patience, interval=1)
        if code is not None:
            cause = explain(cause_of(code), "it gave no known reason")
            raise FailedError(
                f"The store at {self.endpoint} did not answer within {patience:.0f} s.",
                why=f"{code}: {cause.summary}. {cause.why}".strip(),
                fix=cause.fix,
            )

    def _not_yet(self) -> str | None:
        """Return the code of a temporary refusal; raises FailedError for a permanent one."""
        try:
            self.objects.list_buckets()
        except ERRORS as error:
            code = code_of(error)
            if cause_of(code) in OF_THE_KEY:
                raise FailedError(
                    f"The store at {self.endpoint} refuses the administrator's key ({code}).",
                    why=explain(cause_of(code)).why,
                    fix=OTHER_KEY,
                ) from error
            return code
        # It serves objects a moment before it has loaded its users.
        try:
            self.admin.user_list()
        except ERRORS as error:
            code = code_of(error)
            if cause_of(code) is Cause.FORBIDDEN:
                raise FailedError(
                    f"The key for the store at {self.endpoint} is not an administrator's.",
                    why="It may not list users.",
                    fix="Give the key of a user with the policy consoleAdmin.",
                ) from error
            return code
        return None
