"""Entry point of the image `model-server`: serve one model of tabular data by the V2 inference protocol.

It provides health, metadata and inference; there is no API that loads or unloads a model. `tabular.requests`
parses the protocol, and uvicorn with httptools parses HTTP.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from slipway.core.errors import SlipwayError
from tabular import v2
from tabular.inputs import InputError
from tabular.model import Model
from tabular.requests import MAX_BYTES, read_request

PORT: Final = 8080
FOLDER: Final = "/mnt/models"
NAME: Final = "MODEL_NAME"
"""Environment variable with the model's name, set by the ServingRuntime."""
LARGE: Final = 64 << 10
"""Size in bytes from which a request is processed in a thread, so that it does not block others."""
BODY_SECONDS: Final = 30.0
"""Time limit for receiving a body."""
CONNECTIONS: Final = 512

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, bytes]


class TooLargeError(Exception):
    """The body exceeds the limit."""


class DisconnectedError(Exception):
    """The client disconnected before its body was complete."""


@dataclass(frozen=True)
class Server:
    """An ASGI application that serves one model."""

    name: str
    model: Model

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            status, body = await self._answer(scope, receive)
        except InputError as error:
            status, body = 400, _error(str(error))
        except TooLargeError:
            status, body = 413, _error(f"The request is larger than {MAX_BYTES >> 20} MiB.")
        except TimeoutError:
            status, body = 408, _error(f"The request did not arrive within {BODY_SECONDS:.0f} seconds.")
        except DisconnectedError:
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 405:
            headers.append((b"allow", b"POST" if scope["path"].endswith("/infer") else b"GET, HEAD"))
        if status in {408, 413}:
            # The rest of the body is not read.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        root = f"/v2/models/{self.name}"
        if path == f"{root}/infer":
            return await self._infer(scope, receive) if method == "POST" else _not_allowed(method)
        documents: dict[str, Callable[[], Any]] = {
            "/v2/health/live": lambda: {"live": True},
            "/v2/health/ready": lambda: {"ready": True},
            f"{root}/ready": lambda: {"name": self.name, "ready": True},
            root: lambda: v2.metadata(self.name, self.model.schema),
        }
        if path not in documents:
            return 404, _error(f"There is nothing at this path; the model is at {root}.")
        return (200, _json(documents[path]())) if method in {"GET", "HEAD"} else _not_allowed(method)

    async def _infer(self, scope: Message, receive: Receive) -> Answer:
        for name, value in scope["headers"]:
            if name == b"content-encoding" and value != b"identity":
                return 415, _error("The request is compressed, which is not supported.")
            if name == b"content-length" and int(value) > MAX_BYTES:
                raise TooLargeError
        async with asyncio.timeout(BODY_SECONDS):
            body = await _body(receive)
        if len(body) < LARGE:
            return 200, self._predict(body)
        return 200, await asyncio.get_running_loop().run_in_executor(None, partial(self._predict, body))

    def _predict(self, body: bytes) -> bytes:
        request = read_request(body, self.model.schema)
        return v2.write_response(self.name, request, self.model.infer(request.feeds))


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BYTES:
            raise TooLargeError
        if not message.get("more_body", False):
            return b"".join(parts)


def _not_allowed(method: str) -> Answer:
    return 405, _error(f"{method} is not allowed here.")


def _error(text: str) -> bytes:
    return _json({"error": text})


def _json(document: Any) -> bytes:  # noqa: ANN401 - JSON
    return json.dumps(document, separators=(",", ":")).encode()


def main() -> int:
    """Serve the model in the folder of the first argument until a signal is received."""
    import uvicorn  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else FOLDER)
    try:
        server = Server(os.environ[NAME], Model.load(folder))
    except KeyError:
        sys.stderr.write(f"{NAME} is not set.\n")
        return 2
    except (SlipwayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    uvicorn.run(
        server,
        host="0.0.0.0",  # the pod's own addresses
        port=int(os.environ.get("PORT", PORT)),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
