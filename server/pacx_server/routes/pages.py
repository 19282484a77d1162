"""The pages for people: the viewer and the interactive documentation, all from this server."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from pacx_server.whole_files import ACCEPT_RANGES, WholeFile, without_range

router = APIRouter(include_in_schema=False)

WEB = Path(str(files("pacx_server"))) / "web"
REVALIDATE = "no-cache"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"
_DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>PaCX API</title>
<link rel="icon" href="static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="static/docs.js"></script>
</body>
</html>
"""


@router.get("/")
async def viewer() -> WholeFile:
    """The viewer."""
    return WholeFile(WEB / "index.html", headers={"cache-control": REVALIDATE})


@router.get("/docs")
async def documentation() -> HTMLResponse:
    """Swagger UI on this server's own OpenAPI document."""
    return HTMLResponse(_DOCS)


def mount(app: FastAPI) -> None:
    """Serve the files that the pages consist of."""
    app.include_router(router)
    app.mount("/static", _Files(directory=WEB), name="static")
    app.mount("/docs/assets", _Files(directory=SWAGGER), name="docs-assets")


class _Files(StaticFiles):
    """Files that a browser may keep if it asks each time whether they are still the same."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(without_range(scope), receive, send)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update({"cache-control": REVALIDATE, **ACCEPT_RANGES})
        return response
