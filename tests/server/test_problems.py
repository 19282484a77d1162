"""Every refusal is RFC 9457 problem+json with a stable code; faults.md rows 1 to 9 and 39."""

from __future__ import annotations

import asyncio
import gzip
import json
import select
import socket

import httpx
import numpy as np
import pytest

from pacx_server.app import create_app
from pacx_server.settings import Settings
from tests.live_server import LiveServer
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.server.conftest import Launch
from tests.server.test_predict import png


def check(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return problem


def read_answer(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


RAW = {"content-type": "application/dicom"}
FORM = {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", RAW, 400, "empty_body"),
        (b"", FORM, 400, "empty_body"),
        (b"--b--\r\n", FORM, 400, "empty_body"),
        (
            b'--b\r\ncontent-disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            FORM,
            400,
            "empty_body",
        ),
        (
            b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n\r\n--b--',
            FORM,
            400,
            "empty_body",
        ),
        (b"nothing of a form", FORM, 400, "malformed_request"),
        (
            b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
            FORM,
            400,
            "malformed_request",
        ),
        (b"x", {"content-type": "multipart/form-data"}, 400, "malformed_request"),
        (gzip.compress(b"x" * 999, mtime=0), RAW | {"content-encoding": "gzip"}, 415, None),
        (b"x", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"x", {}, 415, "unsupported_media_type"),
        (b"", {}, 400, "empty_body"),
        (b"just some text", RAW, 400, "not_an_image"),
        (b"%PDF-1.7 ...", RAW, 400, "not_an_image"),
        (b"PK\x03\x04" + bytes(64), RAW, 400, "not_an_image"),
    ],
)
def test_unusable_bodies(
    http: httpx.Client, body: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    answer = http.post("/predict", content=body, headers=headers)
    check(answer, status, code or "unsupported_media_type")


def test_two_files_where_one_is_meant(http: httpx.Client, phantom_dicom: bytes) -> None:
    files = [("file", phantom_dicom), ("file", phantom_dicom)]
    check(http.post("/predict", files=files), 400, "malformed_request")


def test_ct_is_no_radiograph(http: httpx.Client) -> None:
    file = dicom_bytes(chest_pixels(), Modality="CT")
    check(http.post("/predict", files={"file": file}), 422, "not_a_chest_radiograph")


def test_a_png_named_dcm_is_read_by_its_content(http: httpx.Client) -> None:
    picture = png((chest_pixels() // 16).astype(np.uint8))
    answer = http.post("/predict", files={"file": ("film.dcm", picture)})
    assert answer.json()["image"]["source"] == "png"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/predict/", 404, "not_found"),
        ("GET", "/static/../settings.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/settings.py", 404, "not_found"),
        ("GET", "/predict", 405, "method_not_allowed"),
        ("DELETE", "/models", 405, "method_not_allowed"),
        ("OPTIONS", "/predict", 405, "method_not_allowed"),
        ("GET", "/v1/models/tiny:predict", 405, "method_not_allowed"),
        ("POST", "/v1/models/tiny:explain", 404, "not_found"),
        ("GET", "/models/nobody", 404, "unknown_model"),
        ("GET", "/models/" + "n" * 65, 422, "invalid_parameter"),
    ],
)
def test_wrong_addresses(
    http: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    check(http.request(method, path), status, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/predict?include=everything", "invalid_parameter"),
        ("/embeddings?pooling=max", "invalid_parameter"),
        ("/explanations?opacity=2", "invalid_parameter"),
        ("/explanations?opacity=nan", "invalid_parameter"),
        ("/explanations?method=magic", "unknown_method"),
        ("/explanations?target=Brightness", "unknown_method"),
    ],
)
def test_wrong_parameters(http: httpx.Client, phantom_dicom: bytes, path: str, code: str) -> None:
    check(http.post(path, files={"file": phantom_dicom}), 422, code)


def test_a_fault_has_the_headers_of_every_answer() -> None:
    app = create_app(Settings())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get("/broken")

    answer = asyncio.run(ask())
    check(answer, 500, "internal_error")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "disposition",
    ['name="file"', "name=\"file\"; filename*=UTF-8''f%C3%BClm.dcm", "name=file"],
)
def test_a_part_named_file_needs_no_file_name(
    http: httpx.Client, phantom_dicom: bytes, disposition: str
) -> None:
    head = f"--b\r\ncontent-disposition: form-data; {disposition}\r\n\r\n"
    body = head.encode() + phantom_dicom + b"\r\n--b--\r\n"
    assert http.post("/predict", content=body, headers=FORM).is_success
    twice = head.encode() + b"one\r\n" + body
    check(http.post("/predict", content=twice, headers=FORM), 400, "malformed_request")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/evaluations", "GET, POST"),
        ("/evaluations/" + "0" * 32, "DELETE, GET"),
        ("/v1/models/tiny", "GET"),
        ("/v1/models/tiny:predict", "POST"),
        ("/openapi.json", "GET, HEAD"),
        ("/static/app.js", "GET, HEAD"),
    ],
)
def test_allow_names_every_method_of_an_address(
    http: httpx.Client, path: str, methods: str
) -> None:
    answer = http.put(path)
    check(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == methods


def test_clients_of_kserve_find_the_reason_where_they_look(http: httpx.Client) -> None:
    for path in ("/v1", "/v1/nothing", "/v2", "/v2/models/nobody"):
        problem = http.put(path).json()
        assert problem["error"] == problem["detail"]


def test_a_slash_too_many_is_told(http: httpx.Client) -> None:
    for path in ("/predict/", "/models/tiny/", "/v2/models/tiny/infer/"):
        assert "slash" in str(check(http.post(path), 404, "not_found")["detail"])
    assert "slash" not in str(check(http.post("/nothing/"), 404, "not_found")["detail"])


def test_what_was_sent_is_not_repeated(http: httpx.Client, phantom_dicom: bytes) -> None:
    secret = "DOE-JANE-1955"
    for path in (f"/predict?include={secret}", f"/predict?model={secret}", f"/{secret}"):
        assert secret not in http.post(path, files={"file": phantom_dicom}).text


def test_caches_keep_pages_and_never_an_answer(http: httpx.Client, phantom_dicom: bytes) -> None:
    answer = http.post("/predict", files={"file": phantom_dicom})
    assert answer.headers["cache-control"] == "no-store"
    assert http.get("/models").headers["cache-control"] == "no-store"
    for path in ("/static/app.js", "/docs/assets/swagger-ui.css"):
        page = http.get(path)
        assert page.headers["cache-control"] == "no-cache"
        again = http.get(path, headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


def test_a_declared_length_over_the_limit_is_refused_before_reading(
    tiny_server: LiveServer,
) -> None:
    with socket.create_connection(("127.0.0.1", tiny_server.port), timeout=30) as connection:
        head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/dicom\r\n"
        connection.sendall(f"{head}content-length: 64000001\r\n\r\n".encode())
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (problem["code"], "at most 64000000 bytes" in problem["detail"]) == ("too_large", True)


def test_seventy_megabytes_are_refused_in_full_view_of_the_client(http: httpx.Client) -> None:
    answer = http.post("/predict", content=bytes(70_000_000), headers=RAW)
    check(answer, 413, "too_large")


@pytest.mark.parametrize("part", ["bytes=0-1", "bytes=a-b", "bytes=99999999-", "films=1", "x"])
@pytest.mark.parametrize("path", ["/", "/static/app.js"])
def test_a_part_of_a_file_is_answered_with_all_of_it(
    http: httpx.Client, path: str, part: str
) -> None:
    whole, answer = http.get(path), http.get(path, headers={"range": part})
    assert answer.status_code == 200
    assert answer.headers["accept-ranges"] == "none"
    assert answer.content == whole.content


def test_an_undeclared_length_is_refused_at_the_limit(launch: Launch) -> None:
    server = launch(max_file_bytes=100_000)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/dicom\r\n"
    chunk = b"fa00\r\n" + bytes(64_000) + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + b"transfer-encoding: chunked\r\n\r\n")
        while not select.select([connection], [], [], 0.01)[0]:
            connection.sendall(chunk)
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


def test_a_stalled_body_is_given_up_and_its_slot_is_free_again(
    launch: Launch, phantom_dicom: bytes
) -> None:
    server = launch(body_timeout_s=0.5, queue_count=1)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/dicom\r\n"
    for trickling in (False, True):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(head + b"content-length: 1000\r\n\r\n1234")
            while trickling and not select.select([connection], [], [], 0.05)[0]:
                connection.sendall(b"5")
            answer = read_answer(connection)
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "body_timeout"
    assert httpx.post(f"{server.url}/predict", files={"file": phantom_dicom}).is_success


def test_pages_do_what_they_need_and_no_more(http: httpx.Client) -> None:
    for page in ("/", "/docs"):
        answer = http.get(page)
        assert answer.is_success
        assert "http://" not in answer.text.replace("http://www.w3.org", "")
        assert "https://" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
    assert http.get("/docs/assets/swagger-ui-bundle.js").is_success
    assert (
        "access-control-allow-origin"
        not in http.get("/models", headers={"origin": "https://elsewhere.example"}).headers
    )
