"""Read-outs, such as view, sex and age, are answered only where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from safetensors.numpy import load_file, save_file

from pacx.bundle import Bundle, labels_key, write_manifest
from pacx.manifest import FindingSpec, HeadSpec, Interval, ValueSpec
from tests.live_server import LiveServer, running
from tests.server.tiny_bundle import LABELS, make_bundle

FINDING, READ_OUT = LABELS


def as_finding(spec: FindingSpec) -> HeadSpec:
    return HeadSpec(name="read-outs", findings=(spec.model_copy(update={"group": "read_out"}),))


def as_value(spec: FindingSpec) -> HeadSpec:
    measured = Interval(value=0.5, low=0.4, high=0.6)
    value = ValueSpec(
        label=spec.label,
        group="read_out",
        unit="years",
        mean=50,
        deviation=10,
        residuals=(-1, 1),
        error=measured,
        determination=measured,
        simulated=False,
        training_films=9,
    )
    return HeadSpec(name="read-outs", task="regression", values=(value,))


@pytest.fixture(scope="module", params=[as_finding, as_value])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("read-outs")
    bundle = make_bundle(folder / "tiny")
    _with_read_out(bundle, request.param)
    environment = {"PACX_BUNDLES": str(folder / "tiny"), "PACX_PRECISION": "f32"}
    with running(folder, environment) as server:
        yield server


def _with_read_out(bundle: Bundle, make: Callable[[FindingSpec], HeadSpec]) -> None:
    """Make the second finding of the only head a head of read-outs."""
    (head,), weights = bundle.manifest.heads, bundle.directory / "heads.safetensors"
    heads = head.model_copy(update={"findings": head.findings[:1]}), make(head.findings[1])
    tensors, labels = {}, {}
    for row, own in enumerate(heads):
        labels[labels_key(own.name)] = json.dumps(own.labels)
        for part in ("weight", "bias"):
            whole = load_file(weights)[f"heads.{head.name}.{part}"]
            tensors[f"heads.{own.name}.{part}"] = whole[row : row + 1].copy()
    save_file(tensors, weights, labels)
    write_manifest(bundle.directory, bundle.manifest.model_copy(update={"heads": heads}))


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
