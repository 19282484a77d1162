"""Every error as RFC 9457 problem+json, whoever raised it: PaCX, the framework or a fault."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Scope

from pacx.errors import PacxError, ServiceError, Unauthenticated
from pacx_server.context import context_of
from pacx_server.schemas import Problem

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = "The server failed; the fault is not in the request."
_METHODS = ("DELETE", "GET", "HEAD", "POST")
_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address; /docs lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address takes other methods; see the header allow.",
}


def describe(error: PacxError, request_id: str) -> Problem:
    """Put an error of ours into words."""
    return _problem(error.status, error.code, error.title, error.detail, request_id)


def respond(problem: Problem, scope: Scope, headers: dict[str, str] | None = None) -> Response:
    """Turn a problem into an answer and remember it as the request's outcome."""
    context_of(scope).outcome = problem.code
    members = problem.model_dump()
    if f"{scope['path']}/".startswith(("/v1/", "/v2/")):
        # KServe's protocols put the reason there; RFC 9457, section 3.2, allows more members.
        members["error"] = problem.detail
    body = json.dumps(members).encode()
    return Response(body, problem.status, headers, media_type=MEDIA_TYPE)


def respond_to_fault(scope: Scope) -> Response:
    """Answer after an unforeseen exception, without a word about it."""
    context = context_of(scope)
    problem = _problem(500, "internal_error", "Internal error", INTERNAL_ERROR, context.request_id)
    return respond(problem, scope)


def install(app: FastAPI) -> None:
    """Register the handlers of everything that routes and the framework raise."""
    app.add_exception_handler(PacxError, _on_pacx_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)


def respond_to(error: PacxError, scope: Scope) -> Response:
    """Answer with an error of ours and the headers that belong to it."""
    headers: dict[str, str] = {}
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="pacx"'
    return respond(describe(error, context_of(scope).request_id), scope, headers)


async def _on_pacx_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, PacxError):
        raise error
    return respond_to(error, request.scope)


async def _on_invalid_parameter(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"][:2])
    detail = f"{where}: {first['msg']}"
    request_id = context_of(request.scope).request_id
    problem = _problem(422, "invalid_parameter", "Invalid parameter", detail, request_id)
    return respond(problem, request.scope)


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    request_id = context_of(request.scope).request_id
    detail = _DETAILS.get(status, status.description or status.phrase)
    if status == HTTPStatus.NOT_FOUND and _ends_in_a_slash_too_many(request):
        detail = "There is nothing at this address, but there is without the slash at its end."
    code = status.phrase.lower().replace(" ", "_")
    problem = _problem(status, code, status.phrase, detail, request_id)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = _methods(request) or headers["allow"]
    return respond(problem, request.scope, headers)


def _methods(request: Request) -> str:
    """All that the address takes; each route knows its own only (RFC 9110, section 15.5.6)."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]

    def takes(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] == Match.FULL for route in routes)

    return ", ".join(method for method in _METHODS if takes(method))


def _ends_in_a_slash_too_many(request: Request) -> bool:
    """A redirect would have a client send its file twice, so that it is told instead."""
    shorter = {**request.scope, "path": request.scope["path"].rstrip("/")}
    if shorter["path"] == request.scope["path"] or not shorter["path"]:
        return False
    return any(route.matches(shorter)[0] != Match.NONE for route in request.app.routes)


def _problem(status: int, code: str, title: str, detail: str, request_id: str) -> Problem:
    return Problem(
        type=f"urn:pacx:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
    )
