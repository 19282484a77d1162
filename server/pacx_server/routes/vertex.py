"""The routes that Vertex AI chooses for a custom container, besides our own."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from pacx.errors import SettingsError
from pacx_server.callers import PredictCaller, TheService
from pacx_server.routes.health import READY, ready
from pacx_server.routes.kserve import predict_instances
from pacx_server.settings import Settings


async def predict(request: Request, service: TheService, caller: PredictCaller) -> Response:
    """The default model, in KServe V1's format."""
    return await predict_instances(request, service, caller, None)


def mount(app: FastAPI, settings: Settings) -> None:
    """Add what the settings name; the addresses are the operator's, so OpenAPI leaves them out.

    Args:
        app: With all routes of its own.
        settings: What names the others.

    Raises:
        SettingsError: An address is one of the server's own with another meaning.
    """
    router = APIRouter(include_in_schema=False)
    if settings.predict_route is not None:
        _check_free(app, "PACX_PREDICT_ROUTE", "POST", settings.predict_route)
        router.add_api_route(settings.predict_route, predict, methods=["POST"])
    if settings.health_route is not None and settings.health_route not in READY:
        _check_free(app, "PACX_HEALTH_ROUTE", "GET", settings.health_route)
        router.add_api_route(settings.health_route, ready, methods=["GET"])
    app.include_router(router)


def _check_free(app: FastAPI, setting: str, method: str, path: str) -> None:
    asked = {"type": "http", "method": method, "path": path, "headers": []}
    if any(route.matches(asked)[0] == Match.FULL for route in app.routes):
        raise SettingsError(f"{setting}: {path} has a meaning of its own; choose another.")
