"""KServe V1, Vertex AI and the Open Inference Protocol give the same numbers as /predict."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from pacx.errors import MalformedRequest
from pacx.preprocessing import normalise, prepare
from pacx.reading import read
from pacx_server.tensors import decode_request
from tests.live_server import LiveServer, running
from tests.server.test_problems import check
from tests.server.tiny_bundle import LABELS, SIZE, SPEC

Probabilities = list[float]


@pytest.fixture
def client(tiny_server: LiveServer) -> Iterator[triton.InferenceServerClient]:
    url = tiny_server.url.removeprefix("http://")
    with triton.InferenceServerClient(url) as client:
        yield client


@pytest.fixture
def wanted(http: httpx.Client, phantom_dicom: bytes) -> Probabilities:
    answer = http.post("/predict", files={"file": phantom_dicom}).json()
    return [finding["probability"] for finding in answer["findings"]]


def image_input(*files: bytes) -> triton.InferInput:
    tensor = triton.InferInput("image", [len(files)], "BYTES")
    tensor.set_data_from_numpy(np.array(files, dtype=np.object_))
    return tensor


def test_triton_client_finds_server_and_model(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1.0")
    assert not client.is_model_ready("tiny", "2.0")
    extensions = client.get_server_metadata()["extensions"]
    assert {"binary_tensor_data", "model_configuration"} <= set(extensions)
    assert client.get_model_config("tiny")["max_batch_size"] == 8
    metadata = client.get_model_metadata("tiny")
    assert {tensor["name"] for tensor in metadata["inputs"]} == {"image", "pixel_values"}
    shapes = {tensor["name"]: tensor["shape"] for tensor in metadata["outputs"]}
    assert shapes["probabilities"] == [-1, len(LABELS)]


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_sends_files(
    client: triton.InferenceServerClient,
    phantom_dicom: bytes,
    wanted: Probabilities,
    binary: bool,
) -> None:
    outputs = [
        triton.InferRequestedOutput("probabilities", binary_data=binary),
        triton.InferRequestedOutput("rollout", binary_data=binary),
    ]
    answer = client.infer(
        "tiny", [image_input(phantom_dicom, phantom_dicom)], outputs=outputs, request_id="film-1"
    )
    assert answer.get_response()["id"] == "film-1"
    assert answer.get_response()["parameters"]["labels"] == list(LABELS)
    probabilities = answer.as_numpy("probabilities")
    assert probabilities == pytest.approx(np.array([wanted, wanted]), abs=1e-6)
    assert answer.as_numpy("rollout").shape == (2, 14, 14)
    assert answer.as_numpy("embedding") is None


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_sends_tensors(
    client: triton.InferenceServerClient,
    phantom_dicom: bytes,
    wanted: Probabilities,
    binary: bool,
) -> None:
    values = normalise(prepare(read(phantom_dicom), SPEC).pixels[np.newaxis], SPEC)
    tensor = triton.InferInput("pixel_values", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    answer = client.infer("tiny", [tensor])
    assert answer.as_numpy("probabilities") == pytest.approx(np.array([wanted]), abs=1e-5)
    assert answer.as_numpy("embedding").shape == (1, 8)


def test_triton_client_hears_why(
    client: triton.InferenceServerClient, phantom_dicom: bytes
) -> None:
    with pytest.raises(InferenceServerException, match="File 1"):
        client.infer("tiny", [image_input(phantom_dicom, b"text")])
    outputs = [triton.InferRequestedOutput("magic")]
    with pytest.raises(InferenceServerException, match="The outputs are"):
        client.infer("tiny", [image_input(phantom_dicom)], outputs=outputs)


def encoded(file: bytes) -> str:
    return base64.b64encode(file).decode()


def test_kserve_v1(http: httpx.Client, phantom_dicom: bytes, wanted: Probabilities) -> None:
    assert http.get("/v1/models").json() == {"models": ["tiny"]}
    assert http.get("/v1/models/tiny").json() == {"name": "tiny", "ready": True}
    file = {"b64": encoded(phantom_dicom)}
    message = {"instances": [file, {"image": file}], "parameters": {"include": ["embedding"]}}
    answer = http.post("/v1/models/tiny:predict", json=message).json()
    assert len(answer["predictions"]) == 2
    for prediction in answer["predictions"]:
        probabilities = [finding["probability"] for finding in prediction["findings"]]
        assert probabilities == pytest.approx(wanted, abs=1e-6)
        assert len(prediction["embedding"]) == 8


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty_body"),
        (b"{", 400, "malformed_request"),
        (b'{"instances": []}', 400, "malformed_request"),
        (b'{"instances": [{"b64": "!"}]}', 400, "malformed_request"),
        (b'{"instances": [{"b64": ""}]}', 400, "empty_body"),
        (b'{"instances": [{"b64": "AAAA"}]}', 400, "not_an_image"),
        (b"[" * 100_000, 400, "malformed_request"),
    ],
)
def test_kserve_v1_refuses(http: httpx.Client, body: bytes, status: int, code: str) -> None:
    answer = http.post("/v1/models/tiny:predict", content=body)
    problem = check(answer, status, code)
    assert problem["error"] == problem["detail"]


def test_unknown_models_are_unknown_everywhere(http: httpx.Client, phantom_dicom: bytes) -> None:
    message = {"instances": [{"b64": encoded(phantom_dicom)}]}
    check(http.post("/v1/models/nobody:predict", json=message), 404, "unknown_model")
    check(http.post("/v2/models/nobody/infer", json={}), 404, "unknown_model")
    check(http.get("/v2/models/tiny/versions/9"), 404, "unknown_model")
    check(http.post("/predict?model=nobody", files={"file": phantom_dicom}), 404, "unknown_model")


def test_vertex_chooses_its_own_routes_and_port(
    tiny: Path, tmp_path: Path, phantom_dicom: bytes
) -> None:
    variables = {
        "PACX_BUNDLES": str(tiny),
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
    }
    message = {"instances": [{"b64": encoded(phantom_dicom)}]}
    with (
        running(tmp_path, variables, port_variable="AIP_HTTP_PORT") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert client.get(variables["AIP_HEALTH_ROUTE"]).is_success
        answer = client.post(variables["AIP_PREDICT_ROUTE"], json=message).json()
        assert len(answer["predictions"]) == 1
        check(client.get(variables["AIP_PREDICT_ROUTE"]), 405, "method_not_allowed")


def message(**tensor: object) -> bytes:
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"", None),
        (b"{}", None),
        (b"{}", 3),
        (message(name="image", datatype="BYTES", shape=[1]), None),
        (message(name="image", datatype="FP32", shape=[1], data=[1]), None),
        (message(name="image", datatype="BYTES", shape=[2], data=["AAAA"]), None),
        (message(name="image", datatype="BYTES", shape=[1], data=[7]), None),
        (message(name="image", datatype="BYTES", shape=[1], data=[["AAAA"], "AAAA"]), None),
        (message(name="pixel_values", datatype="FP32", shape=[1, 3, 9, 9], data=[0]), None),
        (message(name="pixel_values", datatype="FP32", shape=[-1, 3, SIZE, SIZE], data=[]), None),
        (message(name="pixel_values", datatype="FP32", shape=[10**9, 3, SIZE, SIZE]), None),
        (message(name="pixel_values", datatype="FP32", shape=[1, 3, SIZE, SIZE], data=["x"]), None),
        (
            message(name="pixel_values", datatype="FP32", shape=[1, 3, SIZE, SIZE], data=[10**99]),
            None,
        ),
        (
            message(name="pixel_values", datatype="FP32", shape=[1, 3, SIZE, SIZE], data=[10**400]),
            None,
        ),
        (message(name="image", datatype="BYTES", shape=[1] * 5, data=["AAAA"]), None),
    ],
)
def test_messages_that_do_not_follow_the_protocol(body: bytes, length: int | None) -> None:
    with pytest.raises(MalformedRequest):
        decode_request(body, length, size=SIZE)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"outputs": [{"name": "embedding", "parameters": {"binary_data": "false"}}]},
            "outputs.0.parameters.binary_data: ",
        ),
        (
            {"outputs": [{"name": "embedding", "parameters": {"binary_data": 1}}]},
            "outputs.0.parameters.binary_data: ",
        ),
        (
            {"outputs": [{"name": "logits", "parameters": {"classification": 3}}]},
            "outputs.0.parameters.classification: ",
        ),
        ({"parameters": {"binary_data_output": "false"}}, "parameters.binary_data_output: "),
        ({"shape": [-1, -1]}, "inputs.0.shape.0: "),
    ],
)
def test_fields_of_another_kind_are_refused_by_name(
    http: httpx.Client, phantom_dicom: bytes, changes: dict[str, object], named: str
) -> None:
    shape = changes.pop("shape", [1])
    question = message(name="image", datatype="BYTES", shape=shape, data=[encoded(phantom_dicom)])
    answer = http.post("/v2/models/tiny/infer", json=json.loads(question) | changes)
    assert str(check(answer, 400, "malformed_request")["detail"]).startswith(named)


def test_an_output_says_for_itself_whether_it_is_binary(
    http: httpx.Client, phantom_dicom: bytes
) -> None:
    question = message(name="image", datatype="BYTES", shape=[1], data=[encoded(phantom_dicom)])
    wanted = {
        "parameters": {"binary_data_output": True, "priority": 7},
        "outputs": [
            {"name": "embedding", "parameters": {"binary_data": False, "unknown": "x"}},
            {"name": "probabilities"},
        ],
    }
    answer = http.post("/v2/models/tiny/infer", json=json.loads(question) | wanted)
    length = int(answer.headers["inference-header-content-length"])
    listed, raw = json.loads(answer.content[:length])["outputs"]
    assert len(listed["data"]) == 8
    assert "data" not in raw
    assert raw["parameters"] == {"binary_data_size": len(answer.content) - length}


def test_an_output_is_answered_once() -> None:
    """Else a short question could ask for an answer that no memory holds."""
    content = json.loads(message(name="image", datatype="BYTES", shape=[1], data=["AAAA"]))
    content["outputs"] = [{"name": "tokens"}] * 2
    with pytest.raises(MalformedRequest, match="once"):
        decode_request(json.dumps(content).encode(), None, size=SIZE)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    tail=st.binary(max_size=40),
    size=st.one_of(st.none(), st.integers(-5, 50), st.floats(allow_nan=False), st.text(max_size=3)),
    shape=st.lists(st.integers(-3, 4), max_size=4),
)
def test_binary_parts_never_break_the_parser(tail: bytes, size: object, shape: list[int]) -> None:
    """Whatever the lengths say, the message is read or refused."""
    parameters = {} if size is None else {"binary_data_size": size}
    head = message(name="image", datatype="BYTES", shape=shape, parameters=parameters)
    try:
        question = decode_request(head + tail, len(head), size=SIZE)
    except MalformedRequest:
        return
    assert sum(len(image) + 4 for image in question.images) == len(tail)
