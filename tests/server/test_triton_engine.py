"""The remote engine against a real server of the same protocol: our own ``/v2``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from pacx.bundle import Bundle
from pacx.bundle_commands import app
from pacx.engines import open_engine, open_ungated
from pacx.errors import EngineError, EngineUnavailable
from pacx.preprocessing import normalise
from tests.conftest import Serving


@pytest.fixture(scope="module")
def address(serving: Serving, tiny_bundle: Bundle) -> Iterator[str]:
    """A server of the tiny bundle."""
    with serving(PACX_BUNDLES=str(tiny_bundle.directory), PACX_ENGINE="onnxruntime") as url:
        yield url


def test_remote_predict_passes_the_replay_and_agrees(address: str, tiny_bundle: Bundle) -> None:
    pictures = np.random.default_rng(0).random((19, 32, 32), dtype=np.float32)
    inputs = {"pixel_values": normalise(pictures, tiny_bundle.manifest.input)}
    with closing(open_engine(tiny_bundle, "triton", device=address)) as engine:
        remote = engine.run("predict", inputs)
    near = open_ungated(tiny_bundle, "onnxruntime").run("predict", inputs)
    assert remote.keys() == near.keys()
    for name, wanted in near.items():
        np.testing.assert_allclose(remote[name], wanted, atol=1e-5)


def test_no_more_rows_are_sent_than_the_remote_model_takes(
    serving: Serving, tiny_bundle: Bundle
) -> None:
    pictures = np.random.default_rng(2).random((10, 32, 32), dtype=np.float32)
    inputs = {"pixel_values": normalise(pictures, tiny_bundle.manifest.input)}
    wanted = open_ungated(tiny_bundle, "onnxruntime").run("predict", inputs)
    settings = {"PACX_BUNDLES": str(tiny_bundle.directory), "PACX_ENGINE": "onnxruntime"}
    with serving(**settings, PACX_QUEUE_COUNT="3") as url:
        with closing(open_ungated(tiny_bundle, "triton", device=url)) as engine:
            remote = engine.run("predict", inputs)
        refused = httpx.post(f"{url}/v2/models/tiny/infer", json=as_json(inputs), timeout=60)
    assert refused.json()["code"] == "queue_full", "the remote would have taken them at once"
    for name, tensor in wanted.items():
        np.testing.assert_allclose(remote[name], tensor, atol=1e-5)


def as_json(inputs: dict[str, np.ndarray]) -> dict[str, object]:
    """Tensors as the protocol writes them in JSON."""
    tensors = [
        {"name": name, "datatype": "FP32", "shape": array.shape, "data": array.ravel().tolist()}
        for name, array in inputs.items()
    ]
    return {"inputs": tensors}


def test_verify_holds_a_remote_server_to_float32_where_nobody_says_otherwise(
    address: str, tiny_bundle: Bundle
) -> None:
    arguments = ("verify", str(tiny_bundle.directory), "--engine", "triton", "--device", address)
    output = CliRunner().invoke(app, arguments).output
    assert "predict on triton f32: passed" in output
    assert not re.search(r"triton (bf16|f16|int8)", output)


def test_threads_have_connections_of_their_own(address: str, tiny_bundle: Bundle) -> None:
    engine = open_engine(tiny_bundle, "triton", device=address)
    pictures = np.random.default_rng(1).random((12, 1, 32, 32), dtype=np.float32)
    batches = [normalise(picture, tiny_bundle.manifest.input) for picture in pictures]

    def embed(batch: np.ndarray) -> np.ndarray:
        embedding: np.ndarray = engine.run("predict", {"pixel_values": batch})["embedding"]
        return embedding

    in_turn = [embed(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for answered, wanted in zip(pool.map(embed, batches), in_turn, strict=True):
            np.testing.assert_allclose(answered, wanted, atol=1e-5)
        assert connections_to(address)
        engine.close()
        assert not connections_to(address)
    with pytest.raises(EngineError, match="closed"):
        embed(batches[0])


def connections_to(address: str) -> list[int]:
    """Descriptors of this process's own open connections to a server."""
    port = urlsplit(address).port
    found = psutil.Process().net_connections("tcp")
    return [one.fd for one in found if one.raddr and one.raddr.port == port]


def test_a_graph_that_is_not_there_is_named(address: str, tiny_bundle: Bundle) -> None:
    size = tiny_bundle.manifest.input.size
    pixels = {"pixel_values": np.zeros((1, 3, size, size), np.float32)}
    with (
        closing(open_ungated(tiny_bundle, "triton", device=address)) as engine,
        pytest.raises(EngineUnavailable, match="no model tiny_encode"),
    ):
        engine.run("encode", pixels)


def test_nobody_at_the_address(tiny_bundle: Bundle) -> None:
    engine = open_ungated(tiny_bundle, "triton", device="http://127.0.0.1:9")
    size = tiny_bundle.manifest.input.size
    with pytest.raises(EngineError, match="does not answer"):
        engine.run("predict", {"pixel_values": np.zeros((1, 3, size, size), np.float32)})


@pytest.mark.parametrize(
    "device", ["cpu", "cuda", "gpu-box:8000", "grpc://gpu-box:8001", "http://"]
)
def test_what_is_no_address_is_refused(tiny_bundle: Bundle, device: str) -> None:
    with pytest.raises(EngineUnavailable, match="address"):
        open_engine(tiny_bundle, "triton", device=device)
