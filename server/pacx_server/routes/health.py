"""Operations: alive, ready, what runs here, and its numbers."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from pacx.errors import NotReady
from pacx_server.callers import MAY_PREDICT, TheService
from pacx_server.routes.declarations import problems
from pacx_server.schemas import Alive, Information, Limits, Ready
from pacx_server.service import Service
from pacx_server.telemetry import CONTENT_TYPE

router = APIRouter(tags=["operations"])
READY = ("/health/ready", "/readyz", "/health")


@router.get("/health/live")
@router.get("/livez")
async def live() -> Alive:
    """The process answers, whatever its load; it says nothing about the models."""
    return Alive()


@router.get(READY[0], responses=problems(503))
@router.get(READY[1], responses=problems(503))
@router.get(READY[2], responses=problems(503))
async def ready(service: TheService) -> Ready:
    """A request would be answered now.

    Every model has just answered one, or repeats its bundle's reference vectors.
    """
    await check_ready(service)
    return Ready(models=[served.identity.name for served in service.catalogue])


async def check_ready(service: Service) -> None:
    """Raise ``NotReady`` where a request would not be answered now."""
    if await service.ready():
        return
    if service.state == "ready":
        raise NotReady("A model, or every decoding process, does not answer.", retry_after_s=1)
    raise NotReady(f"The server is {service.state}.", retry_after_s=1)


@router.get("/info", responses=problems(401, 403), dependencies=[MAY_PREDICT])
async def info(service: TheService) -> Information:
    """What runs here and what it takes."""
    settings = service.settings
    return Information(
        version=version("pacx"),
        state=service.state,
        models=[served.identity for served in service.catalogue],
        limits=Limits(
            max_file_bytes=settings.max_file_bytes,
            max_request_bytes=settings.max_request_bytes,
            max_files=settings.max_files,
            max_pixels=settings.max_pixels,
            max_batch=settings.max_batch,
            deadline_s=settings.deadline_s,
        ),
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(service: TheService) -> Response:
    """Numbers for Prometheus; nothing about callers or patients."""
    # Some of them are read from a disk, which may be slow.
    text = await run_in_threadpool(service.telemetry.exposition)
    return Response(text, headers={"content-type": CONTENT_TYPE})
