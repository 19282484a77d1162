"""``/v1``: KServe's V1 protocol, which Vertex AI speaks too: instances in, predictions out."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path
from pydantic import ValidationError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from pacx.errors import MalformedRequest
from pacx_server.callers import MAY_PREDICT, PredictCaller, TheService
from pacx_server.description import describe_examination
from pacx_server.intake import Outcome, Visit, all_usable, receive_message
from pacx_server.protocol_schemas import (
    ImageInstance,
    ModelList,
    ModelStatus,
    PredictionRequest,
    PredictionResponse,
)
from pacx_server.routes.declarations import UPLOAD_STATUSES, links, problems
from pacx_server.security import Principal
from pacx_server.service import Service

router = APIRouter(prefix="/v1/models", tags=["kserve v1"])


class _WithoutVerb(StringConvertor):
    """A name alone; behind a colon stands what is to be done with it."""

    regex = "[^/:]+"


register_url_convertor("without_verb", _WithoutVerb())

Name = Annotated[
    str, Path(max_length=64, pattern=r"^[a-z0-9.\-]+$", description="Name of a model.")
]
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}
        },
    }
}

_FIRST = {"name": "$response.body#/models/0"}
_LEADING_ON = links(
    status=("get", "/v1/models/{name}", _FIRST),
    predict=("post", "/v1/models/{name}:predict", _FIRST),
)


@router.get("", responses={200: _LEADING_ON, **problems(401, 403)}, dependencies=[MAY_PREDICT])
async def list_models(service: TheService) -> ModelList:
    """Names of the models that are being served."""
    return ModelList(models=[served.identity.name for served in service.catalogue])


@router.get(
    "/{name:without_verb}",
    responses=problems(401, 403, 404, 422, 503),
    dependencies=[MAY_PREDICT],
)
async def model_status(name: Name, service: TheService) -> ModelStatus:
    """Whether a model is ready."""
    return ModelStatus(name=service.catalogue.get(name).identity.name)


@router.post(
    "/{name}:predict",
    response_model=PredictionResponse,
    responses=problems(*UPLOAD_STATUSES),
    openapi_extra=BODY,
)
async def predict(
    request: Request, name: Name, service: TheService, caller: PredictCaller
) -> Response:
    """Findings of radiographs, each `{"b64": file}` or `{"image": {"b64": file}}`."""
    return await predict_instances(request, service, caller, name)


async def predict_instances(
    request: Request, service: Service, caller: Principal, model: str | None
) -> Response:
    """Answer ``instances`` with ``predictions``; one bad file spoils the request, as KServe has it.

    Raises:
        MalformedRequest: The message does not follow the protocol.
        UnusableImage: Names the first instance that cannot be used.
    """
    async with receive_message(request, service, caller, model) as visit:
        message = await anyio.to_thread.run_sync(_parse, visit.message)
        files = tuple(
            (instance.image if isinstance(instance, ImageInstance) else instance).b64
            for instance in message.instances
        )
        visit = visit.unpack(files)
        outcomes = await visit.examine_all()
        body = await anyio.to_thread.run_sync(_answer, visit, message, outcomes)
    return Response(body, media_type="application/json")


def _parse(body: bytes) -> PredictionRequest:
    try:
        return PredictionRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        raise MalformedRequest(f"{where or 'body'}: {first['msg']}") from error


def _answer(visit: Visit, message: PredictionRequest, outcomes: list[Outcome]) -> bytes:
    include = message.parameters.include
    answer = PredictionResponse(
        predictions=[
            describe_examination(visit.served.model, examination, include)
            for examination in all_usable(outcomes)
        ],
        model=visit.served.identity,
    )
    return answer.model_dump_json().encode()
