"""The remote engine, and the server in front of it, against NVIDIA's own Triton.

``scripts/test-triton`` installs Triton and runs this; elsewhere it is skipped.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from pacx.bundle import Bundle
from pacx.engines import open_engine, open_ungated
from pacx.errors import EngineError
from pacx.model import load
from pacx.preprocessing import normalise
from tests.conftest import Serving
from tests.live_server import START_TIMEOUT_S, free_port, stop

PROGRAM = Path(__file__).with_name("nvidia_triton_program.py")


@pytest.fixture(scope="module")
def address(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Triton that serves the tiny bundle."""
    python = os.environ.get("PACX_TRITON_PYTHON")
    if python is None:
        pytest.skip("Triton is not at hand (scripts/test-triton installs it)")
    port = free_port()
    ports = [str(port), str(free_port()), str(free_port())]
    command = [python, str(PROGRAM), str(tiny_bundle.directory), *ports]
    log = tmp_path_factory.mktemp("triton") / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/v2/models/tiny_predict/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"Triton did not become ready:\n{log.read_text()}")


def test_both_graphs_pass_the_replay_in_batches_of_any_size(
    address: str, tiny_bundle: Bundle
) -> None:
    engine, near = (
        open_engine(tiny_bundle, "triton", device=address),
        open_ungated(tiny_bundle, "onnxruntime"),
    )
    for count in (1, 8, 19):
        pictures = np.random.default_rng(count).random((count, 32, 32), dtype=np.float32)
        inputs = {"pixel_values": normalise(pictures, tiny_bundle.manifest.input)}
        for graph in ("encode", "predict"):
            remote, wanted = engine.run(graph, inputs), near.run(graph, inputs)
            assert remote.keys() == wanted.keys()
            for name, tensor in wanted.items():
                np.testing.assert_allclose(remote[name], tensor, atol=1e-5)


def test_a_graph_that_triton_does_not_have_is_named(address: str, tiny_bundle: Bundle) -> None:
    engine = open_ungated(tiny_bundle, "triton", device=address)
    size = tiny_bundle.manifest.input.size
    inputs = {"pixel_values": np.zeros((1, 3, size, size), np.float32)}
    with pytest.raises(EngineError, match="no model tiny_explain"):
        engine.run("explain", inputs | {"target": np.ones((1, 3), np.float32)})


def test_the_server_in_front_of_triton_answers_as_one_beside_it(
    address: str, tiny_bundle: Bundle, serving: Serving, phantom_dicom: bytes
) -> None:
    near = load(tiny_bundle.directory, engine="onnxruntime").predict(phantom_dicom)
    settings = {"PACX_BUNDLES": str(tiny_bundle.directory), "PACX_ENGINE": "triton"}
    with serving(**settings, PACX_DEVICE=address) as url:
        answer = httpx.post(f"{url}/predict", files={"file": phantom_dicom}, timeout=60).json()
    assert answer["model"]["engine"] == "triton"
    for found, wanted in zip(answer["findings"], near.findings, strict=True):
        assert found["label"] == wanted.label
        assert found["probability"] == pytest.approx(wanted.probability, abs=1e-4)
