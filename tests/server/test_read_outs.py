"""Read-outs, such as view, sex and age, are answered only where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pacx.manifest import FindingSpec, HeadSpec
from tests.live_server import LiveServer, running
from tests.server.tiny_bundle import LABELS, make_bundle, value_head, with_second_head

FINDING, READ_OUT = LABELS


def as_finding(spec: FindingSpec) -> HeadSpec:
    return HeadSpec(name="read-outs", findings=(spec.model_copy(update={"group": "read_out"}),))


def as_value(spec: FindingSpec) -> HeadSpec:
    return value_head(spec.label, "read_out")


@pytest.fixture(scope="module", params=[as_finding, as_value])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("read-outs")
    with_second_head(make_bundle(folder / "tiny"), request.param)
    environment = {"PACX_BUNDLES": str(folder / "tiny"), "PACX_PRECISION": "f32"}
    with running(folder, environment) as server:
        yield server


def test_read_outs_come_only_where_they_are_asked_for(
    server: LiveServer, phantom_dicom: bytes
) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        files = {"file": phantom_dicom}
        plain = client.post("/predict", files=files).json()
        asked = client.post("/predict?include=read_outs", files=files).json()
    assert [answer["label"] for answer in (*plain["findings"], *plain["values"])] == [FINDING]
    extra = [a for a in (*asked["findings"], *asked["values"]) if a not in plain["findings"]]
    assert [(answer["label"], answer["group"]) for answer in extra] == [(READ_OUT, "read_out")]


def test_standard_protocols_do_not_answer_them(server: LiveServer, phantom_dicom: bytes) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        plain = client.post("/predict", files={"file": phantom_dicom}).json()
        (shape,) = [
            tensor["shape"]
            for tensor in client.get("/v2/models/tiny").json()["outputs"]
            if tensor["name"] == "probabilities"
        ]
        pixels = [0.5] * (3 * 224 * 224)
        tensor = {"name": "pixel_values", "datatype": "FP32", "shape": [1, 3, 224, 224]}
        answer = client.post(
            "/v2/models/tiny/infer", json={"inputs": [tensor | {"data": pixels}]}
        ).json()
    assert shape == [-1, 1]
    assert answer["parameters"]["labels"] == [FINDING]
    (probabilities,) = [t for t in answer["outputs"] if t["name"] == "probabilities"]
    assert len(probabilities["data"]) == len(plain["findings"]) == 1
