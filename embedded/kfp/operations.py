"""An operation of the API: its route, its parameters, and the checks before its handler.

The same declarations define the routes, the validation and the description of the API (`openapi`).
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedded.kfp import requests
from embedded.kfp.document import MAX_BYTES
from embedded.kfp.failures import INVALID_ARGUMENT, ApiError, invalid

Schema = Mapping[str, Any]
_Body = TypeVar("_Body", bound=requests.Body)

_ENVELOPE: Final = 1024 * 1024
"""Allowed size of a request in addition to the pipeline file."""

TEXT: Final[Schema] = {"type": "string", "maxLength": 4096}
NAMESPACE: Final[Schema] = {"type": "string", "pattern": f"^({requests.NAMESPACE})?$"}
IDENTIFIER: Final[Schema] = {"type": "string", "pattern": f"^({requests.IDENTIFIER})?$"}
FLAG: Final[Schema] = {"type": "string", "enum": ["true", "false"]}
LISTED: Final[Mapping[str, Schema]] = {
    "page_token": TEXT,
    "page_size": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "sort_by": TEXT,
    "filter": TEXT,
}
"""Options of every list."""

_IDENTIFIERS: Final = ("experiment", "pipeline", "run", "version")
"""Path parameters that are ids."""


@dataclass(frozen=True)
class Operation:
    """A method of the API. Its handler is a coroutine, or a plain method that runs in a thread."""

    method: str
    path: str
    handler: Callable[[Request], Any]
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: type[requests.Body] | None = None
    upload: bool = False
    described: bool = True

    def route(self) -> Route:
        """The route; it checks a request before calling the handler."""
        return Route(self.path, self._checked, methods=[self.method])

    async def _checked(self, request: Request) -> Response:
        for name in _IDENTIFIERS:
            requests.identifier(f"{name}_id", request.path_params.get(name, ""))
        self._check_query(request)
        if inspect.iscoroutinefunction(self.handler):
            answer: Response = await self.handler(request)
        else:
            # In a thread, so that sqlite does not block the event loop.
            answer = await run_in_threadpool(self.handler, request)
        return answer

    def _check_query(self, request: Request) -> None:
        pairs = request.query_params.multi_items()
        for name, value in pairs:
            if name not in self.query:
                known = ", ".join(self.query) or "none"
                raise invalid(f"unknown query parameter {name[:80]!r}; known are: {known}")
            if "\0" in value:
                raise invalid(f"query parameter {name} contains a null character")
        if len({name for name, _ in pairs}) != len(pairs):
            raise invalid("a query parameter is repeated")
        for name, value in pairs:
            schema = self.query[name]
            if schema is NAMESPACE:
                requests.namespace(value)
            elif schema is IDENTIFIER:
                requests.identifier(name, value)
            elif schema is FLAG and value.lower() not in ("true", "false", ""):
                raise invalid(f"{name} {value[:40]!r} is not true or false")


async def json_body(request: Request, model: type[_Body]) -> _Body:
    """Parse a JSON body into its model; raise ApiError if it is too large or not valid."""
    limit = MAX_BYTES + _ENVELOPE if model is requests.NewRun else _ENVELOPE
    data = b"".join([chunk async for chunk in _limited(request, limit)])
    return await run_in_threadpool(requests.read, data, model)


async def uploaded(request: Request) -> tuple[bytes, str]:
    """The file of a multipart upload and its name."""
    parser = MultiPartParser(
        request.headers, _limited(request, MAX_BYTES + _ENVELOPE), max_files=1, max_fields=10
    )
    if "boundary" not in request.headers.get("content-type", ""):
        raise invalid("expected multipart/form-data with a file in field 'uploadfile'")
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise invalid("the multipart body can't be parsed") from error
    try:
        file = form.get("uploadfile")
        if not isinstance(file, UploadFile):
            raise invalid("the request has no file in field 'uploadfile'")
        return await file.read(), file.filename or ""
    finally:
        await form.close()


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(INVALID_ARGUMENT, f"the request has more than {limit} bytes", status=413)
        yield chunk
