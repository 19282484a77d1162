"""Graphs and checkpoints of others see films as they were made to see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import save_file

from pacx.errors import CheckpointError, SubjectError
from pacx.preprocessing import normalise
from pacx.radiograph import Radiograph
from pacx_evaluation.subjects import EmbeddingCache, open_subject
from pacx_evaluation.subjects.encoder import LocalEncoder, file_sha256

SIDE = 32
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Dim = int | str
Channels = tuple[float, float, float]
Grey = NDArray[np.float32]


def write_graph(
    path: Path,
    shape: Sequence[Dim],
    dtype: int = TensorProto.FLOAT,
    told: dict[str, Any] | None = None,
) -> str:
    """A graph whose embedding is all that comes in, in its order, as float32."""
    pixels = helper.make_tensor_value_info("image", dtype, shape)
    output = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", "D"])
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["features"], axis=1),
    ]
    graph = helper.make_graph(nodes, "flat", [pixels], [output])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    if told is not None:
        path.with_suffix(".input.json").write_text(json.dumps(told))
    return str(path)


@pytest.fixture(scope="module")
def grey() -> Grey:
    """Three films ``[3, S, S]`` of 8-bit levels in [0, 1], each from black to white."""
    generator = np.random.default_rng(0)
    films = generator.integers(0, 256, (3, SIDE, SIDE))
    films[:, 0, :2] = 0, 255
    return (films / 255).astype(np.float32)


def embedded(subject: str, grey: Grey) -> Grey:
    return open_subject(subject).embed([Radiograph.from_array(film) for film in grey])


def normalised(grey: Grey, mean: Sequence[float], std: Sequence[float]) -> Grey:
    """Channels first, ``[N, C, S, S]``."""
    channels = [(grey - m) / s for m, s in zip(mean, std, strict=True)]
    return np.stack(channels, axis=1).astype(np.float32)


def test_channels_come_first_or_last_as_the_graph_says(tmp_path: Path, grey: Grey) -> None:
    expected = normalised(grey, *IMAGENET)
    first = embedded(write_graph(tmp_path / "a.onnx", ["N", 3, SIDE, SIDE]), grey)
    np.testing.assert_allclose(first, expected.reshape(3, -1), atol=1e-5)
    last = embedded(write_graph(tmp_path / "b.onnx", ["N", SIDE, SIDE, 3]), grey)
    np.testing.assert_allclose(last, np.moveaxis(expected, 1, 3).reshape(3, -1), atol=1e-5)


@pytest.mark.parametrize("shape", [["N", 1, SIDE, SIDE], ["N", SIDE, SIDE, 1], ["N", SIDE, SIDE]])
def test_one_channel_gets_the_grey_levels_that_are_told(
    tmp_path: Path, grey: Grey, shape: Sequence[Dim]
) -> None:
    """As torchxrayvision has it: from -1024 for black to 1024 for white."""
    told = {"white": 255, "mean": 127.5, "std": 127.5 / 1024}
    found = embedded(write_graph(tmp_path / "grey.onnx", shape, told=told), grey)
    np.testing.assert_allclose(found, ((2 * grey - 1) * 1024).reshape(3, -1), atol=0.01)


def test_bytes_are_the_grey_levels_themselves(tmp_path: Path, grey: Grey) -> None:
    graph = write_graph(tmp_path / "bytes.onnx", ["N", SIDE, SIDE, 3], TensorProto.UINT8)
    expected = np.repeat(np.rint(grey * 255)[..., np.newaxis], 3, axis=3).reshape(3, -1)
    np.testing.assert_array_equal(embedded(graph, grey), expected)


def test_half_precision_and_a_mean_for_each_channel(tmp_path: Path, grey: Grey) -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    told = {"mean": mean, "std": std}
    graph = write_graph(tmp_path / "half.onnx", ["N", 3, SIDE, SIDE], TensorProto.FLOAT16, told)
    expected = normalised(grey, mean, std).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(embedded(graph, grey), expected.reshape(3, -1), atol=2e-3)


def test_a_graph_of_any_size_takes_the_one_that_is_told(tmp_path: Path, grey: Grey) -> None:
    told = {"size": SIDE, "layout": "NHWC", "channels": 1, "mean": 0}
    found = embedded(write_graph(tmp_path / "any.onnx", ["N", "h", "w", "c"], told=told), grey)
    np.testing.assert_allclose(found, grey.reshape(3, -1), atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_fixed_batch_is_filled_up(tmp_path: Path, grey: Grey, batch: int) -> None:
    graph = write_graph(tmp_path / "fixed.onnx", [batch, 3, SIDE, SIDE])
    found = embedded(graph, grey)
    np.testing.assert_allclose(found, normalised(grey, *IMAGENET).reshape(3, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype", "told", "says"),
    [
        (["N", "h", "w", "c"], TensorProto.FLOAT, {"size": SIDE}, "layout"),
        (["N", 3, SIDE, 3], TensorProto.FLOAT, None, "layout"),
        (["N", "c", SIDE, SIDE], TensorProto.FLOAT, {"layout": "NCHW"}, '"channels": 1 or 3'),
        (["N", 3, "h", "w"], TensorProto.FLOAT, None, '"size": 224'),
        (["N", 3, SIDE, SIDE], TensorProto.FLOAT, {"size": 64}, "size: the graph's side is 32"),
        (["N", 3, SIDE, SIDE], TensorProto.FLOAT, {"channels": 1}, "channels: the graph has 3"),
        (["N", 3, SIDE, SIDE], TensorProto.FLOAT, {"layout": "NHWC"}, "layout: NHWC does not fit"),
        (["N", 3, SIDE, 16], TensorProto.FLOAT, None, "not square"),
        (["N", 4, SIDE, SIDE], TensorProto.FLOAT, None, "no picture"),
        (["N", 3], TensorProto.FLOAT, None, "no picture"),
        (["N", 3, 8, 8], TensorProto.FLOAT, None, "16 to 2048"),
        (["N", 3, SIDE, SIDE], TensorProto.INT64, None, "int64"),
        (["N", 3, SIDE, SIDE], TensorProto.FLOAT, {"mean": [0.5, 0.5]}, "mean: 2 numbers"),
        (["N", 3, SIDE, SIDE], TensorProto.FLOAT, {"std": 0}, "std: it must not be 0"),
        (["N", 3, SIDE, SIDE], TensorProto.FLOAT, {"scale": 255}, "scale: .*Fields are size"),
    ],
)
def test_what_the_graph_leaves_open_or_denies_is_named(
    tmp_path: Path, shape: Sequence[Dim], dtype: int, told: dict[str, Any] | None, says: str
) -> None:
    graph = write_graph(tmp_path / "graph.onnx", shape, dtype, told)
    with pytest.raises(SubjectError, match=says):
        open_subject(graph)


def test_a_graph_that_refuses_such_films_is_no_subject(tmp_path: Path) -> None:
    """It says nothing of its size, and then takes only one."""
    graph = write_graph(tmp_path / "graph.onnx", ["N", 3, "h", "w"], told={"size": SIDE})
    model = onnx.load(graph)
    model.graph.node[1].op_type = "Reshape"
    del model.graph.node[1].attribute[:]
    model.graph.node[1].input.append("shape")
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 3 * 48 * 48])
    model.graph.initializer.append(shape)
    onnx.save(model, graph)
    with pytest.raises(SubjectError, match=r"float32 \[N, 3, 32, 32\]"):
        open_subject(graph)


def test_embeddings_are_not_reused_when_another_input_is_told(
    tmp_path: Path, grey: Grey, cache: EmbeddingCache
) -> None:
    film = tmp_path / "film.png"
    Image.fromarray(np.rint(grey[0] * 255).astype(np.uint8)).save(film)
    path = tmp_path / "graph.onnx"
    found, keys = [], set()
    for told in (
        {"layout": "NCHW", "mean": 0},
        {"layout": "NCHW", "mean": 0.5},
        {"layout": "NHWC", "mean": 0},
    ):
        told |= {"size": SIDE, "channels": 3}
        encoder = open_subject(write_graph(path, ["N", "a", "b", "c"], told=told))
        keys.add(encoder.identity.key)
        found.append(cache.embed(encoder, [film], [file_sha256(film)]))
    assert len(keys) == 3
    np.testing.assert_allclose(found[1], found[0] - 0.5, atol=1e-6)
    assert not np.allclose(found[0], found[2])


def publish(folder: Path, timm: ModuleType, **pretrained_cfg: object) -> torch.nn.Module:
    """A small ViT with random weights, as timm's hub holds it; returns timm's model."""
    folder.mkdir()
    torch.manual_seed(0)
    model = timm.models.vision_transformer.VisionTransformer(
        img_size=SIDE,
        patch_size=16,
        embed_dim=64,
        depth=2,
        num_heads=1,
        num_classes=0,
        global_pool="token",
    )
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": pretrained_cfg}
    (folder / "config.json").write_text(json.dumps(config))
    model.eval()
    assert isinstance(model, torch.nn.Module)
    return model


def timm_embeddings(
    timm: ModuleType, model: torch.nn.Module, grey: Grey, told: dict[str, Channels]
) -> Grey:
    """What timm's own preparation and model make of films."""
    transform = timm.data.create_transform(
        input_size=(3, SIDE, SIDE), interpolation="bilinear", crop_pct=1.0, **told
    )
    pictures = [
        Image.fromarray(np.rint(film * 255).astype(np.uint8)).convert("RGB") for film in grey
    ]
    with torch.inference_mode():
        found: Grey = model(torch.stack([transform(picture) for picture in pictures])).numpy()
    return found


def test_a_timm_model_sees_films_as_timm_shows_them(
    tmp_path: Path, timm: ModuleType, grey: Grey
) -> None:
    half: dict[str, Channels] = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.6, 0.7)}
    model = publish(tmp_path / "hub", timm, input_size=(3, SIDE, SIDE), **half)
    expected = timm_embeddings(timm, model, grey, half)
    folder, file = (str(tmp_path / "hub"), str(tmp_path / "hub" / "model.safetensors"))
    np.testing.assert_allclose(embedded(folder, grey), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(embedded(file, grey), expected, rtol=1e-3, atol=1e-4)
    (tmp_path / "hub" / "config.json").unlink()
    assert not np.allclose(embedded(file, grey), expected, rtol=1e-2, atol=1e-2)


def test_what_trains_on_a_timm_model_shows_it_the_same(
    tmp_path: Path, timm: ModuleType, grey: Grey
) -> None:
    publish(tmp_path / "hub", timm, mean=(0.5,) * 3, std=(0.5,) * 3)
    encoder = open_subject(str(tmp_path / "hub"))
    assert isinstance(encoder, LocalEncoder)
    assert encoder.network is not None
    pixels = torch.from_numpy(normalise(grey, encoder.spec))
    assert pixels.min() == -1
    with torch.inference_mode():
        by_network = encoder.network()(pixels).cls.numpy()
    np.testing.assert_allclose(by_network, embedded(str(tmp_path / "hub"), grey), atol=1e-5)


@pytest.mark.parametrize(
    ("normalised", "cfg"),
    [
        (True, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}),
        (False, {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
    ],
)
def test_hugging_faces_preprocessor_is_followed_too(
    tmp_path: Path, timm: ModuleType, grey: Grey, normalised: bool, cfg: dict[str, Channels]
) -> None:
    model = publish(tmp_path / "hub", timm)
    told = {"do_normalize": normalised, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "hub" / "preprocessor_config.json").write_text(json.dumps(told))
    expected = timm_embeddings(timm, model, grey, cfg)
    np.testing.assert_allclose(
        embedded(str(tmp_path / "hub"), grey), expected, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, "config.json: std"),
        ({"mean": [0.5], "std": [0.5]}, "config.json: mean"),
        ({"mean": [0.5] * 3, "std": [0, 1, 1]}, "config.json: std: Input should be greater than 0"),
    ],
)
def test_a_normalisation_that_cannot_be_is_named(
    tmp_path: Path, timm: ModuleType, told: dict[str, Any], says: str
) -> None:
    publish(tmp_path / "hub", timm, **told)
    with pytest.raises(CheckpointError, match=says):
        open_subject(str(tmp_path / "hub"))
    config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": None}
    (tmp_path / "hub" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json: pretrained_cfg"):
        open_subject(str(tmp_path / "hub"))
    (tmp_path / "hub" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        open_subject(str(tmp_path / "hub"))
