"""``/v2``: the Open Inference Protocol, as Triton's and KServe's clients speak it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Header, Path
from starlette.requests import Request
from starlette.responses import Response

from pacx.errors import UnknownModel
from pacx.findings import read_findings
from pacx.model import Model, Outputs
from pacx_server.callers import MAY_PREDICT, PredictCaller, TheService
from pacx_server.examination import ask
from pacx_server.intake import Visit, all_usable, receive_message
from pacx_server.protocol_schemas import (
    ModelConfiguration,
    ModelMetadata,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from pacx_server.routes.declarations import (
    BINARY_CONTENT,
    UPLOAD_STATUSES,
    Responses,
    links,
    problems,
)
from pacx_server.routes.health import check_ready
from pacx_server.security import Principal
from pacx_server.service import Service
from pacx_server.serving import ServedModel
from pacx_server.tensors import (
    LENGTH_HEADER,
    Array,
    InferResponse,
    Question,
    decode_request,
    encode_response,
)

router = APIRouter(prefix="/v2", tags=["open inference protocol"])

Name = Annotated[str, Path(max_length=64, description="Name of a model.")]
Version = Annotated[str, Path(max_length=32, description="The version that is served.")]
_MODEL = "/models/{name}"
_VERSIONED = "/models/{name}/versions/{version}"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_ANSWERS: Responses = {
    200: {"content": {"application/octet-stream": BINARY_CONTENT}},
    **problems(*UPLOAD_STATUSES),
}
_THIS = {"name": "$response.body#/name", "version": "$response.body#/versions/0"}
_LEADING_ON = links(
    metadata=("get", f"/v2{_VERSIONED}", _THIS),
    ready=("get", f"/v2{_VERSIONED}/ready", _THIS),
    infer=("post", f"/v2{_VERSIONED}/infer", _THIS),
)
JsonLength = Annotated[
    int | None,
    Header(
        alias=LENGTH_HEADER, ge=0, description="Length of the JSON part, where raw tensors follow."
    ),
]


@router.get("", response_model=ServerMetadata)
async def server_metadata() -> ServerMetadata:
    """Name, version and extensions of the server."""
    return ServerMetadata(version=installed_version("pacx"))


@router.get("/health/live")
async def live() -> ServerLive:
    """The process answers."""
    return ServerLive()


@router.get("/health/ready", responses=problems(503))
async def ready(service: TheService) -> ServerReady:
    """A request would be answered now."""
    await check_ready(service)
    return ServerReady()


@router.get(
    _MODEL,
    responses={200: _LEADING_ON, **problems(401, 403, 404, 422, 503)},
    dependencies=[MAY_PREDICT],
)
async def model_metadata(name: Name, service: TheService) -> ModelMetadata:
    """Inputs and outputs of a model."""
    return _metadata(_find(service, name, None))


@router.get(_VERSIONED, responses=problems(401, 403, 404, 422, 503), dependencies=[MAY_PREDICT])
async def version_metadata(name: Name, version: Version, service: TheService) -> ModelMetadata:
    """Inputs and outputs of one version of a model."""
    return _metadata(_find(service, name, version))


@router.get(
    f"{_MODEL}/config",
    responses=problems(401, 403, 404, 422, 503),
    dependencies=[MAY_PREDICT],
)
async def model_configuration(name: Name, service: TheService) -> ModelConfiguration:
    """How many images one request may hold."""
    settings, model = service.settings, _find(service, name, None).model
    most = min(settings.max_batch, settings.queue_count)
    return ModelConfiguration(name=model.manifest.name, max_batch_size=most)


@router.get(f"{_MODEL}/ready", responses=problems(404, 422, 503))
async def model_ready(name: Name, service: TheService) -> ServerReady:
    """The model would answer a request now."""
    _find(service, name, None)
    return await ready(service)


@router.get(f"{_VERSIONED}/ready", responses=problems(404, 422, 503))
async def version_ready(name: Name, version: Version, service: TheService) -> ServerReady:
    """The version would answer a request now."""
    _find(service, name, version)
    return await ready(service)


@router.post(
    f"{_MODEL}/infer", response_model=InferResponse, responses=_ANSWERS, openapi_extra=_BODY
)
async def infer(
    request: Request,
    name: Name,
    service: TheService,
    caller: PredictCaller,
    json_length: JsonLength = None,
) -> Response:
    """Ask a model.

    The input is `image` (BYTES [N], a file each; base64 in JSON) or `pixel_values` (FP32
    [N, 3, size, size], normalised as the manifest says).
    """
    return await _infer(request, service, caller, name, json_length)


@router.post(
    f"{_VERSIONED}/infer", response_model=InferResponse, responses=_ANSWERS, openapi_extra=_BODY
)
async def version_infer(
    request: Request,
    name: Name,
    version: Version,
    service: TheService,
    caller: PredictCaller,
    json_length: JsonLength = None,
) -> Response:
    """Ask one version of a model; see the route without a version."""
    _find(service, name, version)
    return await _infer(request, service, caller, name, json_length)


async def _infer(
    request: Request, service: Service, caller: Principal, name: str, json_length: int | None
) -> Response:
    async with receive_message(request, service, caller, name) as visit:
        size = visit.served.model.spec.size
        body = visit.message
        question = await anyio.to_thread.run_sync(
            lambda: decode_request(body, json_length, size=size)
        )
        rows = await _rows(visit, question)
        return await anyio.to_thread.run_sync(_respond, visit.served, question, rows)


async def _rows(visit: Visit, question: Question) -> list[Outputs]:
    if question.pixel_values is not None:
        return await _infer_values(visit, question.pixel_values)
    outcomes = await visit.unpack(question.images).examine_all()
    return [examination.outputs for examination in all_usable(outcomes)]


async def _infer_values(visit: Visit, values: Array) -> list[Outputs]:
    visit.ticket.hold(images=len(values) - 1)
    answers = await asyncio.gather(
        *(ask(visit.served, row, visit.context, deadline=visit.deadline) for row in values)
    )
    return [answered.answer for answered in answers]


def _respond(served: ServedModel, question: Question, rows: Sequence[Outputs]) -> Response:
    identity = served.identity
    response = InferResponse(
        model_name=identity.name,
        model_version=identity.version,
        id=question.request.id,
        parameters={"labels": [finding.label for finding in served.model.manifest.answered]},
        outputs=[],
    )
    tensors = _tensors(served.model, rows)
    if question.request.outputs:
        tensors |= _large_tensors(rows)
    body, length = encode_response(question.request, response, tensors)
    if length is None:
        return Response(body, media_type="application/json")
    headers = {LENGTH_HEADER: str(length)}
    return Response(body, headers=headers, media_type="application/octet-stream")


def _tensors(model: Model, rows: Sequence[Outputs]) -> dict[str, Array]:
    probabilities = [
        [
            finding.probability
            for finding in read_findings(row.logits[0], model.manifest)
            if finding.group != "read_out"
        ]
        for row in rows
    ]
    answered = {
        "probabilities": np.array(probabilities, dtype=np.float32),
        "logits": np.concatenate([row.logits for row in rows]),
    }
    return (answered if model.manifest.labels else {}) | {
        "embedding": np.concatenate([row.embedding for row in rows]),
        "rollout": np.concatenate([row.rollout for row in rows]),
    }


def _large_tensors(rows: Sequence[Outputs]) -> dict[str, Array]:
    """What is answered only where it is asked for by name; a PaCX in front of this one does."""
    tensors = {
        "tokens": np.concatenate([row.tokens for row in rows]),
        "last_layer": np.concatenate([row.last_layer for row in rows]),
    }
    masks = [row.masks for row in rows if row.masks is not None]
    return tensors | ({"masks": np.concatenate(masks)} if masks else {})


def _find(service: Service, name: str, version: str | None) -> ServedModel:
    served = service.catalogue.get(name)
    if version is not None and version != served.identity.version:
        raise UnknownModel(f"The version that is served is {served.identity.version}.")
    return served


def _metadata(served: ServedModel) -> ModelMetadata:
    manifest = served.model.manifest
    rows, columns = manifest.encoder.grid
    size = manifest.input.size
    answered = {
        "probabilities": [-1, len(manifest.answered)],
        "logits": [-1, len(manifest.labels)],
    }
    outputs = (answered if manifest.labels else {}) | {
        "embedding": [-1, manifest.encoder.embedding_dimension],
        "rollout": [-1, rows, columns],
    }
    return ModelMetadata(
        name=manifest.name,
        versions=[manifest.version],
        inputs=[
            TensorMetadata(name="image", datatype="BYTES", shape=[-1]),
            TensorMetadata(name="pixel_values", datatype="FP32", shape=[-1, 3, size, size]),
        ],
        outputs=[
            TensorMetadata(name=name, datatype="FP32", shape=shape)
            for name, shape in outputs.items()
        ],
    )
