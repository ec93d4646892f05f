"""Errors of the API, with the same bodies as upstream (google.rpc.Status)."""

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

INVALID_ARGUMENT: Final = 3
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
PERMISSION_DENIED: Final = 7
FAILED_PRECONDITION: Final = 9
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13

_STATUS: Final = {
    INVALID_ARGUMENT: 400,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    PERMISSION_DENIED: 403,
    FAILED_PRECONDITION: 400,
    UNIMPLEMENTED: 405,
    INTERNAL: 500,
}


class ApiError(Exception):
    """The request is refused."""

    def __init__(self, code: int, message: str, status: int | None = None) -> None:
        """`code` is a google.rpc.Code; it determines the default of the HTTP status."""
        super().__init__(message)
        self.code = code
        self.status = status or _STATUS[code]
        self.message = message


def invalid(message: str) -> ApiError:
    """400: the request is not valid."""
    return ApiError(INVALID_ARGUMENT, message)


def not_found(kind: str, identifier: str) -> ApiError:
    """404."""
    return ApiError(NOT_FOUND, f"{kind} {identifier[:100]} not found")


def duplicate(kind: str, name: str) -> ApiError:
    """409."""
    return ApiError(ALREADY_EXISTS, f"{kind} {name!r} already exists")


def precondition(message: str) -> ApiError:
    """400: not possible in the current state, or not supported by this server."""
    return ApiError(FAILED_PRECONDITION, message)


def body(code: int, message: str) -> dict[str, Any]:
    """The body of an error."""
    return {"error": message, "code": code, "message": message, "details": []}


def response(error: ApiError) -> JSONResponse:
    """The response for an ApiError."""
    return JSONResponse(body(error.code, error.message), status_code=error.status)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for ApiError."""
    assert isinstance(error, ApiError)
    return response(error)


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for errors of the routing: no such path or method."""
    assert isinstance(error, HTTPException)
    code = {404: NOT_FOUND, 405: UNIMPLEMENTED}.get(error.status_code, INVALID_ARGUMENT)
    return JSONResponse(body(code, error.detail), status_code=error.status_code, headers=error.headers)


async def client_left(request: Request, error: Exception) -> Response:
    """Exception handler for a client that disconnects early; it does not read the response."""
    return Response(status_code=400)


async def server_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for internal errors: the traceback is only in the server's log."""
    return JSONResponse(body(INTERNAL, "internal error; see the server's log"), status_code=500)
