"""``POST /explanations``: where the model looked."""

from __future__ import annotations

import io
from typing import Annotated

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from pacx.model import METHODS
from pacx.results import Explanation
from pacx_server.callers import ModelName, PredictCaller, TheService
from pacx_server.examination import Examination
from pacx_server.intake import Visit, receive_files
from pacx_server.negotiation import preferred
from pacx_server.rendering import render_overlay
from pacx_server.routes.declarations import BINARY_CONTENT, UPLOAD_STATUSES, problems, upload_body
from pacx_server.routes.embeddings import JSON_TYPE, NPY_TYPE, origin_headers
from pacx_server.schemas import ExplanationResponse, Focus
from pacx_server.serving import Asked

router = APIRouter(tags=["radiographs"])

PNG_TYPE = "image/png"


@router.post(
    "/explanations",
    response_model=ExplanationResponse,
    responses={
        200: {"content": {PNG_TYPE: BINARY_CONTENT, NPY_TYPE: BINARY_CONTENT}},
        **problems(*UPLOAD_STATUSES, 406),
    },
    openapi_extra=upload_body(many=False),
)
async def explain(
    request: Request,
    service: TheService,
    caller: PredictCaller,
    method: Annotated[
        str, Query(max_length=64, description=f"How the map is made: {', '.join(METHODS)}.")
    ] = "rollout",
    target: Annotated[
        str | None, Query(max_length=128, description="Finding, for methods that explain one.")
    ] = None,
    versus: Annotated[
        str | None, Query(max_length=128, description="Finding that the target is compared with.")
    ] = None,
    opacity: Annotated[
        float, Query(ge=0, le=1, description="Of the hottest colour; pictures only.")
    ] = 0.5,
    legend: Annotated[
        bool, Query(description="Draw scale and texts in a corner; pictures only.")
    ] = True,
    model: ModelName = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Where the model looked in one radiograph.

    By `Accept`: JSON, `image/png` (the overlay on the original picture, pixel for pixel), or
    `application/x-npy` (float32, the model's grid).
    """
    kind = preferred(accept, (JSON_TYPE, PNG_TYPE, NPY_TYPE))
    async with receive_files(request, service, caller, model, service.one_file) as visit:
        examination = await visit.examine(picture=kind == PNG_TYPE)
        with visit.context.phase("explain"):
            explanation = await visit.served.explain(
                Asked(examination.outputs, examination.decoded.input, method, target, versus),
                deadline=visit.deadline,
            )
        if kind == PNG_TYPE:
            with visit.context.phase("render"):
                body = await anyio.to_thread.run_sync(
                    _picture, visit, examination, explanation, opacity, legend
                )
        elif kind == NPY_TYPE:
            body = _npy(explanation)
        else:
            body = _json(visit, examination, explanation)
        return Response(body, headers=origin_headers(visit), media_type=kind)


def _picture(
    visit: Visit, examination: Examination, explanation: Explanation, opacity: float, legend: bool
) -> bytes:
    picture = examination.decoded.picture
    if picture is None:
        raise RuntimeError("the decoder was not asked for a picture")
    compared = explanation.versus and f"against {explanation.versus}"
    parts = (visit.served.identity.name, explanation.method, explanation.target, compared)
    return render_overlay(
        picture,
        explanation.grid,
        explanation.geometry,
        opacity=opacity,
        legend=legend,
        title=" · ".join(part for part in parts if part),
    )


def _npy(explanation: Explanation) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, explanation.grid, allow_pickle=False)
    return buffer.getvalue()


def _json(visit: Visit, examination: Examination, explanation: Explanation) -> bytes:
    answer = ExplanationResponse(
        request_id=visit.context.request_id,
        reference=visit.upload.reference,
        model=visit.served.identity,
        image=examination.decoded.facts,
        method=explanation.method,
        target=explanation.target,
        versus=explanation.versus,
        grid=explanation.grid.tolist(),
        signed=explanation.signed,
        focus=_focus(explanation),
        warnings=list(examination.decoded.warnings),
        timing_ms=examination.timing(visit.context),
    )
    return answer.model_dump_json().encode()


def _focus(explanation: Explanation) -> Focus | None:
    if explanation.focus is None:
        return None
    return Focus.model_validate(explanation.focus, from_attributes=True)
