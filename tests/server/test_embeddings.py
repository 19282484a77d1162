"""POST /embeddings: one or many files, as JSON and as an array."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest

from pacx.preprocessing import prepare
from pacx.reading import read
from pacx_client import PacxClient
from tests.live_server import LiveServer
from tests.server.test_problems import check
from tests.server.tiny_bundle import GRID, SPEC, WIDTH, expected

NPY = {"accept": "application/x-npy"}


def test_real_client_embeds_many(tiny_server: LiveServer, phantom_dicom: bytes) -> None:
    with PacxClient(tiny_server.url) as client:
        answer = client.embed([phantom_dicom, b"text", phantom_dicom])
    assert [item.index for item in answer] == [0, 1, 2]
    assert [item.index for item in answer.failed] == [1]
    assert answer[1].error is not None
    assert answer[1].error.code == "not_an_image"
    assert answer[0].embedding == pytest.approx(answer[2].embedding, abs=1e-6)


@pytest.mark.parametrize(
    ("pooling", "shape"), [("cls", (2, WIDTH)), ("mean", (2, WIDTH)), ("tokens", (2, 196, WIDTH))]
)
def test_arrays_hold_what_the_model_computes(
    http: httpx.Client, phantom_dicom: bytes, pooling: str, shape: tuple[int, ...]
) -> None:
    files = [("file", phantom_dicom)] * 2
    answer = http.post(f"/embeddings?pooling={pooling}", files=files, headers=NPY)
    array = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert array.shape == shape
    assert array.dtype == np.float32
    foreseen = expected(prepare(read(phantom_dicom), SPEC).pixels[np.newaxis])
    wanted = foreseen["tokens"] if pooling == "tokens" else foreseen["embedding"]
    np.testing.assert_allclose(array[:1], wanted, atol=1e-5)
    model = http.get("/models").json()[0]
    assert answer.headers["x-model-sha256"] == model["sha256"]


def test_json_tokens_are_nested(http: httpx.Client, phantom_dicom: bytes) -> None:
    answer = http.post("/embeddings?pooling=tokens", files={"file": phantom_dicom}).json()
    assert np.shape(answer["embeddings"][0]["embedding"]) == (GRID * GRID, WIDTH)
    assert answer["dimension"] == WIDTH


def test_an_array_has_no_room_for_a_bad_file(http: httpx.Client, phantom_dicom: bytes) -> None:
    files = [("file", phantom_dicom), ("file", b"text")]
    answer = http.post("/embeddings", files=files, headers=NPY)
    assert "File 1" in str(check(answer, 422, "unusable_image")["detail"])


def test_a_lone_bad_file_is_the_requests_own_error(http: httpx.Client) -> None:
    check(http.post("/embeddings", files={"file": b"text"}), 400, "not_an_image")


def test_too_many_files(http: httpx.Client) -> None:
    files = [("file", b"x")] * 65
    check(http.post("/embeddings", files=files), 400, "malformed_request")
