"""``/models``: what is being served, and how it is replaced."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from pacx.manifest import Manifest
from pacx_server.callers import MAY_ADMINISTER, MAY_PREDICT, TheService
from pacx_server.routes.declarations import links, problems
from pacx_server.schemas import ModelIdentity, ModelOffer

router = APIRouter(prefix="/models", tags=["models"])

Name = Annotated[str, Path(max_length=64, description="Name of a model.")]
_FIRST = {"name": "$response.body#/0/name"}
_LEADING_ON = links(
    describe=("get", "/models/{name}", _FIRST),
    reload=("post", "/models/{name}/reload", _FIRST),
    predict=("post", "/predict", {"model": "$response.body#/0/name"}),
    status=("get", "/v1/models/{name}", _FIRST),
    metadata=("get", "/v2/models/{name}", _FIRST),
)


@router.get("", responses={200: _LEADING_ON, **problems(401, 403, 503)}, dependencies=[MAY_PREDICT])
async def list_models(service: TheService) -> list[ModelOffer]:
    """The models that are being served; the first is the default."""
    service.catalogue.get(None)
    return [
        ModelOffer(**served.identity.model_dump(), methods=served.model.methods)
        for served in service.catalogue
    ]


@router.get("/{name}", responses=problems(401, 403, 404, 422, 503), dependencies=[MAY_PREDICT])
async def describe_model(name: Name, service: TheService) -> Manifest:
    """All that a model says about itself: its bundle's manifest."""
    return service.catalogue.get(name).model.manifest


@router.post(
    "/{name}/reload",
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[MAY_ADMINISTER],
)
async def reload_model(name: Name, service: TheService) -> ModelIdentity:
    """Load the model's bundle again, verify it, and let it take over without losing a request.

    A version that cannot be served is refused, and the one before goes on.
    """
    return (await service.catalogue.reload(name)).identity
