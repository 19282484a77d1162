"""The names that operators build on: every metric of the dashboard and the documentation exists."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from pacx_server.audit import AuditLog
from pacx_server.middleware.observation import Observation
from pacx_server.telemetry import Telemetry
from tests.docs.tables import read_table

DOCS = Path(__file__).parents[2] / "docs"
SUFFIXES = ("_bucket", "_sum", "_count")


def exposed(http: httpx.Client) -> set[str]:
    """Names of all metric families, and of their samples."""
    text = http.get("/metrics").text
    return set(re.findall(r"^# TYPE (\S+)", text, re.M)) | set(
        re.findall(r"^(pacx_\w+)", text, re.M)
    )


def test_the_dashboard_asks_for_metrics_that_exist(
    http: httpx.Client, phantom_dicom: bytes
) -> None:
    assert http.post("/predict", files={"file": phantom_dicom}).is_success
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"pacx_\w+", target["expr"]))
    assert len(asked) >= 8
    assert {
        name for name in asked if name.removesuffix("_total") not in families(exposed(http))
    } == set()


def families(names: set[str]) -> set[str]:
    """Names without the suffixes of their samples, beside the names themselves."""
    plain = {name.removesuffix("_total") for name in names}
    for suffix in SUFFIXES:
        plain |= {name.removesuffix(suffix) for name in names} | {
            name for name in names if name.endswith(suffix)
        }
    return plain


def test_the_documented_metrics_exist(http: httpx.Client) -> None:
    known = families(exposed(http))
    for first, _ in read_table("docs/operations.md", "metric"):
        for name in re.findall(r"pacx_\w+", first):
            assert name.removesuffix("_total") in known


def test_numbers_name_nobody(http: httpx.Client, phantom_dicom: bytes) -> None:
    http.post("/predict", files={"file": ("DOE^JANE", phantom_dicom)}, data={"reference": "JANE"})
    http.get("/JANE")
    assert "JANE" not in http.get("/metrics").text


def test_every_route_is_labelled_as_it_is_declared(http: httpx.Client) -> None:
    http.get("/static/app.js")
    http.get("/models/tiny")
    http.get("/somewhere/else")
    text = http.get("/metrics").text
    routes = set(re.findall(r'pacx_requests_total\{outcome="\w+",route="([^"]*)"\}', text))
    assert {"/static", "/models/{name}", "none"} <= routes
    assert not any("somewhere" in route for route in routes)


def test_an_answer_that_fails_in_the_middle_counts_as_failed() -> None:
    sent: list[Message] = []

    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"all", headers={"content-length": "9"})(scope, receive, send)
        raise RuntimeError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    telemetry = Telemetry()
    observed = Observation(breaking, telemetry, AuditLog(None, None), None)
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(observed(scope, receive, send))
    failures = 'pacx_requests_total{outcome="internal_error",route="none"} 1.0'
    assert failures in telemetry.exposition().decode()
    assert len(sent) == 2, "what was begun is not begun again"
