"""POST /predict: the main job, through a real process and the real client."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from pacx_client import PacxClient
from tests.live_server import LiveServer
from tests.phantom_dicom import chest_pixels, dicom_bytes
from tests.server.tiny_bundle import LABELS, WIDTH


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def test_real_client_gets_findings(tiny_server: LiveServer, phantom_dicom: bytes) -> None:
    with PacxClient(tiny_server.url) as client:
        answer = client.predict(
            phantom_dicom, include=("embedding", "attention"), reference="film 7"
        )
    assert [finding.label for finding in answer.findings] == list(LABELS)
    assert all(
        finding.positive == (finding.probability >= finding.threshold)
        for finding in answer.findings
    )
    assert answer.reference == "film 7"
    assert (answer.image.rows, answer.image.columns, answer.image.source) == (500, 420, "dicom")
    assert answer.image.spacing_mm == (0.8, 0.8)
    assert answer.embedding is not None
    assert len(answer.embedding) == WIDTH
    assert answer.attention is not None
    assert len(answer.attention.grid) == 14
    assert answer.timing_ms is not None
    assert answer.timing_ms.total is not None
    steps = (answer.timing_ms.decode, answer.timing_ms.queue, answer.timing_ms.inference)
    assert answer.timing_ms.total >= sum(step or 0 for step in steps) * 0.9


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_raw_bodies_and_forms_answer_alike(http: httpx.Client, kind: str) -> None:
    pixels = (chest_pixels() // 16).astype(np.uint16 if kind == "TIFF" else np.uint8)
    body = png(pixels, kind)
    raw = http.post(
        "/predict", content=body, headers={"content-type": f"image/{kind.lower()}"}
    ).json()
    form = http.post("/predict", files={"file": ("anything", body)}).json()
    assert raw["findings"] == form["findings"]
    assert raw["image"]["source"] == kind.lower()


def test_what_is_not_asked_for_is_null(http: httpx.Client, phantom_dicom: bytes) -> None:
    answer = http.post("/predict", files={"file": phantom_dicom}).json()
    assert answer["embedding"] is None
    assert answer["attention"] is None
    assert answer["anatomy"] is None


def test_a_spacing_of_zero_is_unknown_and_warned_about(http: httpx.Client) -> None:
    file = dicom_bytes(chest_pixels(), PixelSpacing=[0, 0])
    answer = http.post("/predict", files={"file": file}).json()
    assert answer["image"]["spacing_mm"] is None
    assert "spacing_unknown" in {warning["code"] for warning in answer["warnings"]}


def test_headers_carry_times_and_the_callers_id(http: httpx.Client, phantom_dicom: bytes) -> None:
    answer = http.post(
        "/predict", files={"file": phantom_dicom}, headers={"x-request-id": "film:7"}
    )
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "film:7"
    total = float(answer.headers["x-total-time"])
    assert 0 <= float(answer.headers["x-queue-time"]) <= total
    assert 0 < float(answer.headers["x-inference-time"]) <= total


def test_an_id_that_could_forge_a_log_line_is_replaced(http: httpx.Client) -> None:
    answer = http.get("/livez", headers={"x-request-id": 'x" {"event": "forged'})
    assert len(answer.headers["x-request-id"]) == 32


def test_the_name_of_a_file_never_comes_back(http: httpx.Client, phantom_dicom: bytes) -> None:
    files = {"file": ("DOE^JANE.dcm", phantom_dicom)}
    assert "DOE" not in http.post("/predict", files=files).text


def test_an_image_answers_the_same_alone_and_in_a_batch(
    http: httpx.Client, phantom_dicom: bytes
) -> None:
    other = dicom_bytes(chest_pixels(300, 300, marked=(10, 10, 40)))
    alone = http.post("/embeddings", files={"file": phantom_dicom}).json()["embeddings"][0]
    for place in range(4):
        files = [("file", other)] * 4
        files[place] = ("file", phantom_dicom)
        among = http.post("/embeddings", files=files).json()["embeddings"][place]
        assert among["embedding"] == pytest.approx(alone["embedding"], abs=1e-6)


def test_what_is_asked_for_may_be_listed_or_repeated(
    tiny_server: LiveServer, phantom_dicom: bytes
) -> None:
    def ask(query: str) -> httpx.Response:
        url = f"{tiny_server.url}/predict?{query}"
        return httpx.post(url, files={"file": phantom_dicom}, timeout=60)

    for query in ("include=embedding,attention,anatomy", "include=attention&include=embedding"):
        answer = ask(query).json()
        assert len(answer["embedding"]) == WIDTH
        assert answer["attention"]["method"] == "rollout"
    assert ask("include=embedding").json()["attention"] is None
    assert ask("include=everything").status_code == 422
