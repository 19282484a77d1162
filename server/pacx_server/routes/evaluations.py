"""``/evaluations``: a labelled set of films in, a report out, as a job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pacx.errors import MalformedRequest, NotReady, UnknownEvaluation
from pacx_server.callers import EvaluateCaller, EvaluationsCaller, TheService
from pacx_server.evaluations.evaluations import require_extra
from pacx_server.evaluations.folder import JobFolder
from pacx_server.evaluations.job import ENDED, Job, Label, Options, Protocol
from pacx_server.evaluations.receiving import ARCHIVE_TYPES, check_archive, receive_text
from pacx_server.evaluations.schemas import Evaluation, ReportLink, ServerPath
from pacx_server.negotiation import preferred
from pacx_server.routes.declarations import BINARY_CONTENT, Responses, links, problems
from pacx_server.security import Principal
from pacx_server.service import Service
from pacx_server.uploads import FORM_TYPE, check_coding, media_type
from pacx_server.whole_files import WholeFile

router = APIRouter(tags=["evaluations"])

JSON_TYPE = "application/json"
EVENTS_TYPE = "text/event-stream"
HTML_TYPE = "text/html"
ZIP_TYPE = "application/zip"
CSV_TYPE = "text/csv"
SVG_TYPE = "image/svg+xml"
POLL_S = 0.5
SILENCE_S = 15.0
LONGEST_PATH_BYTES = 16_384
_REPORT_POLICY = (
    "sandbox allow-downloads allow-popups; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report brings its own styles, and runs nothing."""
READER = Principal(name="ticket", scopes=frozenset({"admin"}))
_FILE_TYPES = {".html": HTML_TYPE, ".csv": CSV_TYPE, ".svg": SVG_TYPE}

Name = Annotated[
    str, Path(pattern=r"^[0-9a-f]{32}$", description="Name of an evaluation, its `id`.")
]
_TEXT = {"schema": {"type": "string"}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            FORM_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "A zip, a tar or a gzipped tar of films and a table.",
                        }
                    },
                }
            },
            **{kind: BINARY_CONTENT for kind in ARCHIVE_TYPES},
            JSON_TYPE: {"schema": {"$ref": "#/components/schemas/ServerPath"}},
        },
    }
}


def _leading_on(status: int, name: str) -> Responses:
    """Where an answer leads that tells an evaluation's name."""
    one = "/evaluations/{name}"
    parameters = {"name": name}
    return {
        status: links(
            describe=("get", one, parameters),
            follow=("get", f"{one}/events", parameters),
            cancel=("post", f"{one}/cancel", parameters),
            forget=("delete", one, parameters),
            report=("get", f"{one}/report", parameters),
            metrics=("get", f"{one}/metrics", parameters),
            link=("post", f"{one}/link", parameters),
        )
    }


@router.post(
    "/evaluations",
    status_code=202,
    response_model=Evaluation,
    responses={
        **_leading_on(202, "$response.body#/id"),
        **problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 501, 503, 507),
    },
    openapi_extra=_BODY,
)
async def submit(
    request: Request,
    response: Response,
    service: TheService,
    caller: EvaluateCaller,
    protocol: Annotated[list[Protocol] | None, Query(description="May be repeated.")] = None,
    label: Annotated[
        list[Label] | None, Query(max_length=100, description="A column to ask about; repeatable.")
    ] = None,
    manifest: Annotated[
        str | None,
        Query(max_length=1000, description="The table's name in the archive; found where omitted."),
    ] = None,
    replicates: Annotated[int, Query(ge=100, le=10_000, description="Bootstrap samples.")] = 2000,
    subsets: Annotated[int, Query(ge=2, le=20, description="Few-label subsets.")] = 5,
    films: Annotated[
        int, Query(ge=1, le=1000, description="Films for robustness and speed, at most.")
    ] = 200,
    seed: Annotated[int, Query(ge=0, le=2**31 - 1, description="Of all that is drawn.")] = 0,
) -> Evaluation:
    """Evaluate the default model on an archive of films with a manifest, or on a server's folder.

    The archive is a zip, a tar or a gzipped tar that holds films and one table: `path` (relative
    to the table), labels, and where known `patient`, `split`, `sex`, `age`, `view`, `site`. Or
    send JSON with the `path` of a manifest below the folder that the server allows.
    """
    require_extra()
    options = Options(
        protocols=tuple(dict.fromkeys(protocol or ("linear",))),
        labels=tuple(label or ()),
        replicates=replicates,
        subsets=subsets,
        films=films,
        seed=seed,
    )
    if service.admission.refusal is not None:
        refusal = service.admission.refusal
        raise NotReady(refusal.detail, retry_after_s=refusal.retry_after_s)
    with service.admission.presence.inside():
        job = await _submitted(request, service, caller, options, manifest)
    response.headers["location"] = f"evaluations/{job.id}"
    return Evaluation.of(job)


async def _submitted(
    request: Request, service: Service, caller: Principal, options: Options, manifest: str | None
) -> Job:
    if media_type(request.headers) == JSON_TYPE:
        path = await _server_path(request, service)
        return await service.evaluations.refer(path, caller, options)
    declared = check_archive(request, service.settings.evaluation_upload_bytes)
    return await service.evaluations.receive(request, caller, options, manifest, declared)


async def _server_path(request: Request, service: Service) -> str:
    check_coding(request.headers)
    body = await receive_text(
        request, limit_bytes=LONGEST_PATH_BYTES, timeout_s=service.settings.body_timeout_s
    )
    try:
        return ServerPath.model_validate_json(body).path
    except ValidationError as error:
        raise MalformedRequest('Send JSON such as {"path": "set/manifest.csv"}.') from error


@router.get(
    "/evaluations",
    responses={**_leading_on(200, "$response.body#/0/id"), **problems(401, 403, 422)},
)
async def list_evaluations(
    service: TheService,
    caller: EvaluationsCaller,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> list[Evaluation]:
    """The caller's evaluations, the newest first; with the scope `admin`, everybody's."""
    return [Evaluation.of(job) for job in await service.evaluations.all(caller, limit)]


@router.get("/evaluations/{name}", responses=problems(401, 403, 404, 422, 507))
async def describe(name: Name, service: TheService, caller: EvaluationsCaller) -> Evaluation:
    """How an evaluation stands and how far it is."""
    return Evaluation.of(await service.evaluations.get(name, caller))


@router.get(
    "/evaluations/{name}/events",
    response_class=Response,
    responses={
        200: {"description": "Server-sent events.", "content": {EVENTS_TYPE: _TEXT}},
        **problems(401, 403, 404, 422, 507),
    },
)
async def follow(name: Name, service: TheService, caller: EvaluationsCaller) -> Response:
    """Server-sent events: `progress` with the evaluation when it changes, `end` with its last."""
    job = await service.evaluations.get(name, caller)
    return StreamingResponse(_events(job, service, caller), media_type=EVENTS_TYPE)


async def _events(job: Job, service: Service, caller: Principal) -> AsyncIterator[str]:
    clock = asyncio.get_running_loop().time
    said, spoken = job, clock()
    yield _event(job)
    while said.state not in ENDED and service.state == "ready":
        await asyncio.sleep(POLL_S)
        try:
            job = await service.evaluations.get(job.id, caller)
        except UnknownEvaluation:  # somebody deleted it
            yield _event(said, "end")
            return
        if job != said or clock() - spoken > SILENCE_S:
            yield _event(job) if job != said else ": still here\n\n"
            said, spoken = job, clock()


def _event(job: Job, kind: str | None = None) -> str:
    kind = kind or ("end" if job.state in ENDED else "progress")
    return f"event: {kind}\ndata: {Evaluation.of(job).model_dump_json()}\n\n"


@router.post("/evaluations/{name}/cancel", responses=problems(401, 403, 404, 422, 507))
async def cancel(name: Name, service: TheService, caller: EvaluationsCaller) -> Evaluation:
    """End an evaluation that has not ended; one that has stays as it is."""
    return Evaluation.of(await service.evaluations.cancel(name, caller))


@router.delete("/evaluations/{name}", status_code=204, responses=problems(401, 403, 404, 422, 507))
async def forget(name: Name, service: TheService, caller: EvaluationsCaller) -> None:
    """Cancel an evaluation, and delete its report and all else about it."""
    await service.evaluations.forget(name, caller)


@router.get(
    "/evaluations/{name}/report",
    response_class=Response,
    responses={
        200: {"content": {HTML_TYPE: _TEXT, ZIP_TYPE: BINARY_CONTENT}},
        **problems(401, 403, 404, 406, 409, 422, 507),
    },
)
async def report(
    name: Name,
    service: TheService,
    caller: EvaluationsCaller,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """The report of an evaluation: by `Accept`, the page or a zip with all of its files."""
    folder = await service.evaluations.report(name, caller)
    if preferred(accept, (HTML_TYPE, ZIP_TYPE)) == ZIP_TYPE:
        return WholeFile(folder.zip, media_type=ZIP_TYPE, filename="report.zip")
    return WholeFile(folder.report / "report.html", headers=_page_headers(), media_type=HTML_TYPE)


@router.get(
    "/evaluations/{name}/{folder}/{file}",
    response_class=Response,
    responses={
        200: {"content": {kind: _TEXT for kind in (CSV_TYPE, SVG_TYPE)}},
        **problems(401, 403, 404, 409, 422, 507),
    },
)
async def report_file(
    name: Name,
    folder: Literal["tables", "figures"],
    file: Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_\-]+\.(csv|svg)$")],
    service: TheService,
    caller: EvaluationsCaller,
) -> Response:
    """What the numbers and figures of `/evaluations/{name}/report` link to."""
    return _file(await service.evaluations.report(name, caller), f"{folder}/{file}")


@router.get(
    "/evaluations/{name}/metrics",
    response_class=Response,
    responses={
        200: {"content": {JSON_TYPE: {"schema": {"type": "object"}}}},
        **problems(401, 403, 404, 409, 422, 507),
    },
)
async def metrics(name: Name, service: TheService, caller: EvaluationsCaller) -> Response:
    """`metrics.json` of the report: every number with its interval, or the reason for none."""
    folder = await service.evaluations.report(name, caller)
    return WholeFile(folder.report / "metrics.json", media_type=JSON_TYPE)


@router.post("/evaluations/{name}/link", responses=problems(401, 403, 404, 409, 422, 507))
async def link(name: Name, service: TheService, caller: EvaluationsCaller) -> ReportLink:
    """An address that opens the report in a browser without a key, for ten minutes."""
    await service.evaluations.report(name, caller)
    ticket, expires = service.tickets.issue(name)
    return ReportLink(
        url=f"evaluation-reports/{ticket}/report.html",
        expires_at=datetime.fromtimestamp(expires, UTC),
    )


@router.get(
    "/evaluation-reports/{ticket}/{file:path}",
    response_class=Response,
    responses={
        200: {"content": {kind: _TEXT for kind in _FILE_TYPES.values()}},
        **problems(404, 409, 422, 507),
    },
)
async def open_report(
    ticket: Annotated[str, Path(max_length=128, description="From `/evaluations/{name}/link`.")],
    file: Annotated[
        str,
        Path(
            max_length=200,
            pattern=r"^(report\.html|(tables|figures)/[A-Za-z0-9_\-]+\.(csv|svg))$",
            description="A file of the report.",
        ),
    ],
    service: TheService,
) -> Response:
    """A file of a report, for whoever has the address."""
    name = service.tickets.check(ticket)
    return _file(await service.evaluations.report(name, READER), file)


def _file(folder: JobFolder, file: str) -> Response:
    path = folder.report / file
    if not path.is_file():
        raise UnknownEvaluation("The report has no such file.")
    return WholeFile(path, headers=_page_headers(), media_type=_FILE_TYPES[path.suffix])


def _page_headers() -> dict[str, str]:
    return {"content-security-policy": _REPORT_POLICY}
