"""Traces reach a collector by OTLP/HTTP, joined to the caller's own and without a word of his."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pacx.errors import SettingsError
from pacx_server.tracing import open_tracing
from tests.live_server import CONFIGURING, LiveServer, free_port, lacking, running, stop
from tests.phantom_dicom import chest_pixels, dicom_bytes

PARENT = "00f067aa0ba902b7"
SECRET = "DOE^JANE"


@dataclass(slots=True)
class Collector:
    """What an OpenTelemetry collector has been sent."""

    url: str
    messages: list[bytes] = field(default_factory=list)

    def requests(self) -> list[ExportTraceServiceRequest]:
        """All messages, decoded."""
        return [ExportTraceServiceRequest.FromString(message) for message in self.messages]

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, once the request's own has arrived; that one is the first."""
        deadline = time.monotonic() + 60
        while not any(span.kind == Span.SPAN_KIND_SERVER for span in self.sent(trace_id)):
            assert time.monotonic() < deadline, "the spans did not arrive"
            time.sleep(0.05)
        return sorted(self.sent(trace_id), key=lambda span: span.kind != Span.SPAN_KIND_SERVER)

    def sent(self, trace_id: str) -> list[Span]:
        """What has arrived of one trace."""
        return [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.trace_id.hex() == trace_id
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    messages: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            messages.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as listener:
        thread = Thread(target=listener.serve_forever)
        thread.start()
        yield Collector(f"http://127.0.0.1:{listener.server_port}", messages)
        listener.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Traced:
    """A server that writes traces, and where they arrive."""

    server: LiveServer
    collector: Collector


@pytest.fixture(scope="module")
def traced(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector:
        settings = {
            "PACX_BUNDLES": str(tiny),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        with running(folder, settings) as server:
            yield Traced(server, collector)


def attributes(span: Span) -> dict[str, str | int]:
    return {item.key: item.value.int_value or item.value.string_value for item in span.attributes}


def joining(trace_id: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{PARENT}-{flags}"}


def test_a_request_and_its_phases_join_the_callers_trace(traced: Traced) -> None:
    trace_id = "1" * 32
    file = dicom_bytes(chest_pixels(), PatientName=SECRET)
    with httpx.Client(base_url=traced.server.url, headers=joining(trace_id)) as client:
        named = {"file": (f"{SECRET}.dcm", file)}
        assert client.post("/predict?include=embedding", files=named).is_success
    request, *phases = traced.collector.trace(trace_id)
    assert request.parent_span_id.hex() == PARENT
    assert request.name == "POST /predict"
    told = attributes(request)
    assert told["http.route"] == "/predict"
    assert told["http.response.status_code"] == 200
    assert told["pacx.model"] == "tiny@1.0"
    assert [phase.name for phase in phases] == ["receive", "decode", "queue", "inference"]
    assert {phase.parent_span_id for phase in phases} == {request.span_id}
    moments = [moment for p in phases for moment in (p.start_time_unix_nano, p.end_time_unix_nano)]
    assert moments == sorted(moments), "one after the other"
    assert request.start_time_unix_nano <= moments[0]
    assert moments[-1] <= request.end_time_unix_nano
    assert f'"trace_id": "{trace_id}"' in traced.server.text()


def test_the_service_says_who_it_is(traced: Traced) -> None:
    httpx.get(f"{traced.server.url}/models", headers=joining("2" * 32))
    traced.collector.trace("2" * 32)
    (resource,) = traced.collector.requests()[0].resource_spans
    told = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert told["service.name"] == "pacx"
    assert told["deployment.environment.name"] == "test"


def test_refusals_are_told_by_their_code_and_nothing_that_was_sent_is(traced: Traced) -> None:
    trace_id = "3" * 32
    headers = joining(trace_id) | {"user-agent": SECRET, "x-request-id": "JANE"}
    with httpx.Client(base_url=traced.server.url, headers=headers) as client:
        files = {"file": (f"{SECRET}.dcm", SECRET.encode())}
        client.post(f"/predict?model={SECRET}", files=files)
        client.post("/predict", files=files, data={"reference": SECRET})
        client.get(f"/studies/{SECRET}")
        client.get("/models", headers=joining("4" * 32))
    traced.collector.trace("4" * 32)
    spans = traced.collector.sent(trace_id)
    requests = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    outcomes = [attributes(span)["pacx.outcome"] for span in requests]
    assert outcomes == ["unknown_model", "not_an_image", "not_found"]
    (decode,) = [span for span in spans if span.name == "decode"]
    assert decode.status.code == Status.STATUS_CODE_ERROR
    assert attributes(decode)["error.type"] == "not_an_image"
    assert not any(b"JANE" in message for message in traced.collector.messages)


@pytest.mark.parametrize(
    "headers",
    [{"baggage": SECRET}, {"baggage": f"name={SECRET}" * 1000}, {"tracestate": f"{SECRET}=,1"}],
)
def test_headers_that_break_the_rules_are_not_repeated(
    traced: Traced, headers: dict[str, str]
) -> None:
    trace_id = uuid.uuid4().hex
    httpx.get(f"{traced.server.url}/models", headers=joining(trace_id) | headers)
    traced.collector.trace(trace_id)
    assert "DOE" not in traced.server.text()


def test_a_trace_that_its_caller_does_not_sample_is_not_sent(traced: Traced) -> None:
    with httpx.Client(base_url=traced.server.url) as client:
        client.get("/models", headers=joining("5" * 32, "00"))
        client.get("/models", headers=joining("6" * 32))
    assert traced.collector.trace("6" * 32)
    assert not traced.collector.sent("5" * 32)


def test_a_collector_that_is_not_there_keeps_nobody_waiting(
    tiny: Path, tmp_path: Path, phantom_dicom: bytes
) -> None:
    settings = {
        "PACX_BUNDLES": str(tiny),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    }
    with running(tmp_path, settings) as server:
        assert httpx.post(f"{server.url}/predict", files={"file": phantom_dicom}).is_success
        assert stop(server.process) == 0


def test_without_opentelemetry_the_server_says_what_to_install(tiny: Path, tmp_path: Path) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(CONFIGURING)}
    ended = subprocess.run(
        [sys.executable, *lacking("opentelemetry.sdk"), "serve", "--port", "0"],
        env=inherited | {"PACX_BUNDLES": str(tiny), "OTEL_TRACES_EXPORTER": "otlp"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert 'pip install "pacx[telemetry]"' in " ".join(ended.stderr.split())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], named: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=named):
        open_tracing()


@pytest.mark.parametrize(
    "refusal", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}]
)
def test_an_endpoint_can_be_overruled(
    monkeypatch: pytest.MonkeyPatch, refusal: dict[str, str]
) -> None:
    for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **refusal}.items():
        monkeypatch.setenv(name, value)
    assert open_tracing() is None
