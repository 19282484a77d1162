"""``POST /predict``: the main job."""

from __future__ import annotations

import asyncio
from typing import Annotated, get_args

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from pacx.errors import MalformedRequest
from pacx_server.callers import ModelName, PredictCaller, TheService
from pacx_server.description import describe_examination
from pacx_server.examination import Examination
from pacx_server.intake import Visit, receive_files
from pacx_server.routes.declarations import UPLOAD_STATUSES, problems, upload_body
from pacx_server.schemas import Include, PredictResponse

router = APIRouter(tags=["radiographs"])

_PART = "|".join(get_args(Include))
Wanted = Annotated[
    str,
    Query(
        max_length=64,
        pattern=rf"^(({_PART})(,({_PART}))*)?$",
        description="What else is wanted, separated by commas: embedding, attention, anatomy, "
        "read_outs. Anatomy is told in any case where the model measures it. Read-outs, such as "
        "view, sex and age, show what else the embedding tells; they are no findings.",
    ),
]


@router.post(
    "/predict",
    response_model=PredictResponse,
    responses=problems(*UPLOAD_STATUSES),
    openapi_extra=upload_body(many=False),
)
async def predict(
    request: Request,
    service: TheService,
    caller: PredictCaller,
    include: Wanted = "",  # noqa: ARG001 - declared here, read below, where it may be repeated
    model: ModelName = None,
) -> Response:
    """Findings of one radiograph: a form with a part `file`, or the file itself as the body."""
    wanted = _split(",".join(request.query_params.getlist("include")))
    async with receive_files(request, service, caller, model, service.one_file) as visit:
        examination = await visit.examine()
        body = await asyncio.get_running_loop().run_in_executor(
            service.describing, _answer, visit, examination, wanted
        )
    return Response(body, media_type="application/json")


def _split(include: str) -> frozenset[Include]:
    known: dict[str, Include] = {name: name for name in get_args(Include)}
    wanted = [part for part in include.split(",") if part]
    if not known.keys() >= set(wanted):
        raise MalformedRequest(f"include takes {', '.join(known)}.")
    return frozenset(known[part] for part in wanted)


def _answer(visit: Visit, examination: Examination, wanted: frozenset[Include]) -> bytes:
    described = describe_examination(visit.served.model, examination, wanted)
    answer = PredictResponse(
        request_id=visit.context.request_id,
        reference=visit.upload.reference,
        model=visit.served.identity,
        image=described.image,
        findings=described.findings,
        values=described.values,
        anatomy=described.anatomy,
        quality=described.quality,
        embedding=described.embedding,
        attention=described.attention,
        warnings=described.warnings,
        timing_ms=examination.timing(visit.context),
    )
    return answer.model_dump_json().encode()
