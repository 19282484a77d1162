"""The application: wiring only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from pacx.errors import PacxError
from pacx_server import openapi, problems
from pacx_server.middleware.connection import Connection
from pacx_server.middleware.observation import Observation
from pacx_server.middleware.protection import Protection
from pacx_server.middleware.sharing import Sharing
from pacx_server.routes import (
    embeddings,
    evaluations,
    explanations,
    health,
    inference_protocol,
    kserve,
    models,
    pages,
    predict,
    vertex,
)
from pacx_server.service import Service
from pacx_server.settings import Settings

_DESCRIPTION = (
    "Findings, embeddings and attention maps of chest radiographs. "
    "Research use only, not for clinical use. Every error is RFC 9457 problem+json."
)
ROUTERS = (
    predict.router,
    embeddings.router,
    explanations.router,
    evaluations.router,
    models.router,
    kserve.router,
    inference_protocol.router,
    health.router,
)


def create_app(
    settings: Settings | None = None,
    on_failure: Callable[[PacxError], None] = lambda error: None,  # noqa: ARG005
) -> FastAPI:
    """Build the application; its models are loaded when the server starts.

    Args:
        settings: How it runs; None reads the environment and ``pacx.toml``.
        on_failure: Told the error where the models cannot be served at all.
    """
    service = Service(settings or Settings(), on_failure)
    app = FastAPI(
        title="PaCX",
        version=version("pacx"),
        description=_DESCRIPTION,
        lifespan=_life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own spans and logs repeat addresses, queries and words of errors as they came.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router)
    pages.mount(app)
    vertex.mount(app, service.settings)
    problems.install(app)
    openapi.install(app)
    _wrap(app, service)
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.start()
    yield
    await service.close()


def _wrap(app: FastAPI, service: Service) -> None:
    """Add middleware, the innermost first."""
    settings = service.settings
    app.add_middleware(Connection)
    if settings.cors_origins:
        app.add_middleware(Sharing, origins=settings.cors_origins)
    app.add_middleware(
        Observation, telemetry=service.telemetry, audit=service.audit, tracing=service.tracing
    )
    app.add_middleware(Protection, encrypted=settings.encrypted)
