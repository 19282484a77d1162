"""``POST /embeddings``: one vector, or one vector per patch, for each radiograph."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Annotated

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Header, Query
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from pacx.embeddings import Origin, arrow_stream
from pacx.errors import InputError
from pacx.model import Outputs
from pacx_server.callers import ModelName, PredictCaller, TheService
from pacx_server.examination import Examination
from pacx_server.intake import Outcome, Visit, all_usable, receive_files
from pacx_server.negotiation import preferred
from pacx_server.problems import describe
from pacx_server.routes.declarations import BINARY_CONTENT, UPLOAD_STATUSES, problems, upload_body
from pacx_server.schemas import EmbeddingItem, EmbeddingsResponse, Pooling, Space, Timing

router = APIRouter(tags=["radiographs"])

JSON_TYPE = "application/json"
NPY_TYPE = "application/x-npy"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
OFFERS = (JSON_TYPE, NPY_TYPE, *([ARROW_TYPE] if find_spec("pyarrow") else []))


@router.post(
    "/embeddings",
    response_model=EmbeddingsResponse,
    responses={
        200: {"content": {NPY_TYPE: BINARY_CONTENT, ARROW_TYPE: BINARY_CONTENT}},
        **problems(*UPLOAD_STATUSES, 406),
    },
    openapi_extra=upload_body(many=True),
)
async def embed(
    request: Request,
    service: TheService,
    caller: PredictCaller,
    pooling: Annotated[
        Pooling, Query(description="cls: the class token; mean: of all patches; tokens: all.")
    ] = "cls",
    space: Annotated[Space, Query(description="Which space the vectors are in.")] = "encoder",
    model: ModelName = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Embeddings of one or many radiographs: parts `file` of a form, or one file as the body.

    One file that cannot be used does not spoil the others: JSON carries its error at its index.
    `application/x-npy` and `application/vnd.apache.arrow.stream` (where pyarrow is installed) have
    no room for that and are refused with 422.
    """
    kind = preferred(accept, OFFERS)
    async with receive_files(request, service, caller, model, service.many_files) as visit:
        outcomes = await visit.examine_all()
        if kind != JSON_TYPE:
            return await anyio.to_thread.run_sync(_array, visit, outcomes, pooling, kind)
        body = await anyio.to_thread.run_sync(_json, visit, outcomes, pooling, space)
    return Response(body, media_type=JSON_TYPE)


def _pool(outputs: Outputs, pooling: Pooling) -> NDArray[np.float32]:
    if pooling == "cls":
        return np.asarray(outputs.embedding[0])
    if pooling == "mean":
        return np.asarray(outputs.tokens[0].mean(axis=0, dtype=np.float32))
    return np.asarray(outputs.tokens[0])


def _json(visit: Visit, outcomes: list[Outcome], pooling: Pooling, space: Space) -> bytes:
    answer = EmbeddingsResponse(
        request_id=visit.context.request_id,
        reference=visit.upload.reference,
        model=visit.served.identity,
        pooling=pooling,
        space=space,
        dimension=visit.served.model.manifest.encoder.embedding_dimension,
        embeddings=[
            _item(visit, index, outcome, pooling) for index, outcome in enumerate(outcomes)
        ],
        timing_ms=_timing(visit, outcomes),
    )
    return answer.model_dump_json().encode()


def _item(visit: Visit, index: int, outcome: Outcome, pooling: Pooling) -> EmbeddingItem:
    if isinstance(outcome, InputError):
        error = describe(outcome, visit.context.request_id)
        return EmbeddingItem(index=index, embedding=None, warnings=[], error=error)
    return EmbeddingItem(
        index=index,
        embedding=_pool(outcome.outputs, pooling).tolist(),
        warnings=list(outcome.decoded.warnings),
    )


def _timing(visit: Visit, outcomes: list[Outcome]) -> Timing:
    """The longest time of any file in each step."""
    times = [item.timing(visit.context) for item in outcomes if isinstance(item, Examination)]
    return Timing(
        decode=max((time.decode for time in times), default=0),
        queue=max((time.queue for time in times), default=0),
        inference=max((time.inference for time in times), default=0),
        total=visit.context.total_s * 1000,
    )


def _array(visit: Visit, outcomes: list[Outcome], pooling: Pooling, kind: str) -> Response:
    examinations = all_usable(outcomes)
    rows = np.stack([_pool(examination.outputs, pooling) for examination in examinations])
    if kind == ARROW_TYPE:
        codes = [[item.code for item in one.decoded.warnings] for one in examinations]
        body = arrow_stream(rows, codes, Origin.of(visit.served.model))
    else:
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        body = buffer.getvalue()
    return Response(body, headers=origin_headers(visit), media_type=kind)


def origin_headers(visit: Visit) -> dict[str, str]:
    """What made an array, beside an array that cannot say so itself."""
    origin = Origin.of(visit.served.model)
    return {
        "x-model-name": origin.name,
        "x-model-version": origin.version,
        "x-model-sha256": origin.sha256,
        "x-preprocessing-sha256": origin.preprocessing_sha256,
    }
