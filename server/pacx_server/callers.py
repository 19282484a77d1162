"""What every route needs: the service, the caller, and a chosen model."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import Request

from pacx_server.context import RequestContext, context_of
from pacx_server.security import Principal
from pacx_server.service import Service
from pacx_server.settings import Scope

_API_KEY = APIKeyHeader(name="x-api-key", auto_error=False, description="A key of the server's.")
_BEARER = HTTPBearer(auto_error=False, description="A key, or a token of the OIDC provider.")


def service_of(request: Request) -> Service:
    """The service behind the application."""
    service: Service = request.app.state.service
    return service


async def _service(request: Request) -> Service:
    return service_of(request)


async def _context(request: Request) -> RequestContext:
    return context_of(request.scope)


class _Caller:
    """Identifies the caller, who needs one of some scopes; the two schemes are for OpenAPI."""

    def __init__(self, *scopes: Scope) -> None:
        self._scopes = scopes

    async def __call__(
        self,
        request: Request,
        key: Annotated[object, Security(_API_KEY)],
        token: Annotated[object, Security(_BEARER)],
    ) -> Principal:
        del key, token
        principal = await service_of(request).authenticator.identify(request)
        context_of(request.scope).caller = principal.name
        principal.require(*self._scopes)
        return principal


TheService = Annotated[Service, Depends(_service)]
Context = Annotated[RequestContext, Depends(_context)]
MAY_PREDICT = Depends(_Caller("predict"))
MAY_ADMINISTER = Depends(_Caller("admin"))
MAY_EVALUATE = Depends(_Caller("evaluate"))
MAY_SEE_EVALUATIONS = Depends(_Caller("evaluate", "admin"))
PredictCaller = Annotated[Principal, MAY_PREDICT]
EvaluateCaller = Annotated[Principal, MAY_EVALUATE]
EvaluationsCaller = Annotated[Principal, MAY_SEE_EVALUATIONS]
ModelName = Annotated[
    str | None,
    Query(alias="model", max_length=64, description="Which model; without it, the default one."),
]
