"""What every route needs: the service, the caller, and a chosen model."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request

from pacx_server.context import RequestContext, context_of
from pacx_server.security import Principal
from pacx_server.service import Service
from pacx_server.settings import Scope


def service_of(request: Request) -> Service:
    """The service behind the application."""
    service: Service = request.app.state.service
    return service


async def _service(request: Request) -> Service:
    return service_of(request)


async def _context(request: Request) -> RequestContext:
    return context_of(request.scope)


class _Caller:
    """Identifies the caller, who needs one of some scopes; what may be sent, OpenAPI declares."""

    def __init__(self, *scopes: Scope) -> None:
        self._scopes = scopes

    async def __call__(self, request: Request) -> Principal:
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
