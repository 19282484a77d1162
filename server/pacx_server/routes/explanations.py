"""``POST /explanations``: where the model looked."""

from __future__ import annotations

import io
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Literal

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from pacx.interpretation import FilmFacts, warnings_of_map
from pacx.model import METHODS
from pacx.results import Explanation, Prediction
from pacx_server.callers import ModelName, PredictCaller, TheService
from pacx_server.description import describe_anatomy, describe_warnings
from pacx_server.examination import Examination
from pacx_server.intake import Visit, receive_files
from pacx_server.negotiation import preferred
from pacx_server.outlines import OUTLINES, parse_outlines
from pacx_server.overlay import Crop, Style, Subject, draw_explanation
from pacx_server.routes.declarations import BINARY_CONTENT, UPLOAD_STATUSES, problems, upload_body
from pacx_server.routes.embeddings import JSON_TYPE, NPY_TYPE, origin_headers
from pacx_server.schemas import ExplanationResponse, Focus, WarningNote
from pacx_server.serving import Asked
from pacx_server.vector import draw_svg

router = APIRouter(tags=["radiographs"])

PNG_TYPE = "image/png"
SVG_TYPE = "image/svg+xml"
KINDS = (JSON_TYPE, PNG_TYPE, NPY_TYPE, SVG_TYPE)
GridName = Literal["model", "film"]
_NAME = f"({'|'.join(OUTLINES)})"


def style(
    opacity: Annotated[
        float, Query(ge=0, le=1, description="Of the strongest colour; pictures only.")
    ] = 0.5,
    legend: Annotated[
        bool, Query(description="Draw scale and texts in a corner; pictures only.")
    ] = True,
    outlines: Annotated[
        str | None,
        Query(
            max_length=64,
            pattern=rf"^({_NAME}(,{_NAME})*)?$",
            description=f"Any of {', '.join(OUTLINES)}, separated by commas; pictures only. "
            "Without it all of them are drawn with a map, and none where opacity is 0.",
        ),
    ] = None,
    crop: Annotated[
        Crop,
        Query(
            description="What is shown: `thorax` (heart, lungs and a margin), `none` (the whole "
            "film), or `auto`, which is the thorax where the pixels may show the patient's name "
            "(BurnedInAnnotation); pictures only."
        ),
    ] = "auto",
) -> Style:
    """How pictures are drawn."""
    chosen = None if outlines is None else parse_outlines(outlines)
    return Style(opacity=opacity, legend=legend, outlines=chosen, crop=crop)


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """All that an answer is made from."""

    visit: Visit
    examination: Examination
    explanation: Explanation
    style: Style
    grid: GridName


@router.post(
    "/explanations",
    response_model=ExplanationResponse,
    responses={
        200: {"content": dict.fromkeys((PNG_TYPE, NPY_TYPE, SVG_TYPE), BINARY_CONTENT)},
        **problems(*UPLOAD_STATUSES, 406),
    },
    openapi_extra=upload_body(many=False),
)
async def explain(
    request: Request,
    service: TheService,
    caller: PredictCaller,
    drawing: Annotated[Style, Depends(style)],
    method: Annotated[
        str, Query(max_length=64, description=f"How the map is made: {', '.join(METHODS)}.")
    ] = "rollout",
    target: Annotated[
        str | None, Query(max_length=128, description="Finding, for methods that explain one.")
    ] = None,
    versus: Annotated[
        str | None, Query(max_length=128, description="Finding that the target is compared with.")
    ] = None,
    grid: Annotated[
        GridName,
        Query(
            description="Where numbers lie: on the model's grid, or a number for each original "
            "pixel, `[rows, columns]` of the film as it is stored, as `application/x-npy` alone."
        ),
    ] = "model",
    model: ModelName = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Where the model looked in one radiograph.

    By `Accept`: JSON, `image/png` (the overlay on the original picture, pixel for pixel),
    `image/svg+xml` (map and outlines without the film), or `application/x-npy` (float32, the
    model's grid). `grid=film` spreads the numbers over the original pixels, as the overlay does;
    so many numbers are no JSON, so that any other type than `application/x-npy` is a 406.
    """
    kind = _kind(accept, grid)
    async with receive_files(request, service, caller, model, service.one_file) as visit:
        examination = await visit.examine(picture=kind == PNG_TYPE)
        visit.ticket.hold(size_bytes=_answer_bytes(examination, grid))
        with visit.context.phase("explain"):
            explanation = await visit.served.explain(
                Asked(examination.outputs, examination.decoded.input, method, target, versus),
                deadline=visit.deadline,
            )
        explained = Explained(visit, examination, explanation, drawing, grid)
        with visit.context.phase("render"):
            async with _turn(explained, kind):
                return await anyio.to_thread.run_sync(_answer, explained, kind)


def _kind(accept: str | None, grid: GridName) -> str:
    if grid == "model":
        return preferred(accept, KINDS)
    return preferred(accept, (NPY_TYPE,), condition=f"With grid={grid}")


def _answer_bytes(examination: Examination, grid: GridName) -> int:
    """What an answer of the film's size holds in memory beyond the upload."""
    decoded = examination.decoded
    if grid == "film":
        return decoded.facts.rows * decoded.facts.columns * np.dtype(np.float32).itemsize
    return 0 if decoded.picture is None else decoded.picture.nbytes


def _turn(explained: Explained, kind: str) -> AbstractAsyncContextManager[None]:
    """Answers of the film's size are made in turn."""
    if kind == PNG_TYPE or explained.grid == "film":
        return explained.visit.service.drawing.turn(explained.visit.deadline)
    return nullcontext()


def _answer(explained: Explained, kind: str) -> Response:
    """Draw or write the answer; this takes time and is for a thread."""
    visit, examination = explained.visit, explained.examination
    facts = examination.decoded.facts
    prediction = visit.served.model.interpret(
        examination.outputs,
        examination.decoded.input.geometry,
        FilmFacts(spacing_mm=facts.spacing_mm, view=facts.view),
    )
    of_map = warnings_of_map(explained.explanation.grid, prediction.anatomy)
    notes = [*examination.decoded.warnings, *describe_warnings([*prediction.warnings, *of_map])]
    if kind == JSON_TYPE:
        body = _json(explained, prediction, notes)
    elif kind == NPY_TYPE:
        body = _npy(explained)
    else:
        body = _drawn(explained, prediction, notes, kind)
    headers = origin_headers(visit) | {"x-warnings": ", ".join(note.code for note in notes)}
    return Response(body, headers=headers, media_type=kind)


def _drawn(
    explained: Explained, prediction: Prediction, notes: list[WarningNote], kind: str
) -> bytes:
    subject = Subject(
        model=explained.visit.served.identity.name,
        explanation=explained.explanation,
        anatomy=prediction.anatomy,
        warnings={note.code for note in notes},
        simulated=prediction.simulated_labels,
    )
    if kind == SVG_TYPE:
        return draw_svg(subject, explained.style)
    picture = explained.examination.decoded.picture
    if picture is None:
        raise RuntimeError("the decoder was not asked for a picture")
    return draw_explanation(picture, subject, explained.style)


def _npy(explained: Explained) -> bytes:
    explanation, buffer = explained.explanation, io.BytesIO()
    numbers = explanation.on_film() if explained.grid == "film" else explanation.grid
    np.save(buffer, numbers, allow_pickle=False)
    return buffer.getvalue()


def _json(explained: Explained, prediction: Prediction, notes: list[WarningNote]) -> bytes:
    visit, explanation = explained.visit, explained.explanation
    answer = ExplanationResponse(
        request_id=visit.context.request_id,
        reference=visit.upload.reference,
        model=visit.served.identity,
        image=explained.examination.decoded.facts,
        method=explanation.method,
        target=explanation.target,
        versus=explanation.versus,
        grid=explanation.grid.tolist(),
        signed=explanation.signed,
        focus=_focus(explanation),
        anatomy=describe_anatomy(prediction),
        warnings=notes,
        timing_ms=explained.examination.timing(visit.context),
    )
    return answer.model_dump_json().encode()


def _focus(explanation: Explanation) -> Focus | None:
    if explanation.focus is None:
        return None
    return Focus.model_validate(explanation.focus, from_attributes=True)
