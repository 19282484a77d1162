"""POST /embeddings: one or many files, as JSON and as an array."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pyarrow.ipc
import pytest

from pacx.preprocessing import prepare
from pacx.reading import read
from pacx_client import PacxClient
from tests.live_server import LiveServer, lacking, running
from tests.server.test_problems import check
from tests.server.tiny_bundle import GRID, SPEC, WIDTH, expected

NPY = {"accept": "application/x-npy"}
ARROW = {"accept": "application/vnd.apache.arrow.stream"}


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


@pytest.mark.parametrize("pooling", ["cls", "tokens"])
def test_an_arrow_stream_says_the_same_and_where_it_comes_from(
    http: httpx.Client, phantom_dicom: bytes, pooling: str
) -> None:
    files = [("file", phantom_dicom)] * 2
    path = f"/embeddings?pooling={pooling}"
    answer = http.post(path, files=files, headers=ARROW)
    assert answer.headers["content-type"] == ARROW["accept"]
    with pyarrow.ipc.open_stream(answer.content) as stream:
        table = stream.read_all()
    plain = np.load(io.BytesIO(http.post(path, files=files, headers=NPY).content))
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), plain)
    assert table["index"].to_pylist() == [0, 1]
    told = http.post(path, files=files).json()["embeddings"]
    assert table["warnings"].to_pylist() == [
        [warning["code"] for warning in item["warnings"]] for item in told
    ]
    origin = json.loads(table.schema.metadata[b"pacx"])
    assert origin["sha256"] == answer.headers["x-model-sha256"]


@pytest.mark.parametrize("path", ["/embeddings", "/explanations"])
@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/webp, text/*"])
def test_what_nobody_offers_is_refused_with_what_is_offered(
    http: httpx.Client, phantom_dicom: bytes, path: str, accept: str
) -> None:
    answer = http.post(path, files={"file": phantom_dicom}, headers={"accept": accept})
    assert "application/x-npy" in str(check(answer, 406, "not_acceptable")["detail"])


def test_without_pyarrow_arrow_is_not_offered(
    tiny: Path, tmp_path: Path, phantom_dicom: bytes
) -> None:
    settings = {"PACX_BUNDLES": str(tiny)}
    with running(tmp_path, settings, program=lacking("pyarrow")) as server:
        url, files = f"{server.url}/embeddings", {"file": phantom_dicom}
        refusal = httpx.post(url, files=files, headers=ARROW)
        assert "arrow" not in str(check(refusal, 406, "not_acceptable")["detail"])
        assert httpx.post(url, files=files, headers=NPY).is_success


def test_json_tokens_are_nested(http: httpx.Client, phantom_dicom: bytes) -> None:
    answer = http.post("/embeddings?pooling=tokens", files={"file": phantom_dicom}).json()
    assert np.shape(answer["embeddings"][0]["embedding"]) == (GRID * GRID, WIDTH)
    assert answer["dimension"] == WIDTH


@pytest.mark.parametrize("headers", [NPY, ARROW])
def test_an_array_has_no_room_for_a_bad_file(
    http: httpx.Client, phantom_dicom: bytes, headers: dict[str, str]
) -> None:
    files = [("file", phantom_dicom), ("file", b"text")]
    answer = http.post("/embeddings", files=files, headers=headers)
    assert "File 1" in str(check(answer, 422, "unusable_image")["detail"])


def test_a_lone_bad_file_is_the_requests_own_error(http: httpx.Client) -> None:
    check(http.post("/embeddings", files={"file": b"text"}), 400, "not_an_image")


def test_too_many_files(http: httpx.Client) -> None:
    files = [("file", b"x")] * 65
    check(http.post("/embeddings", files=files), 400, "malformed_request")
