"""The weight file of a bundle is a plain timm checkpoint, and means the same there."""

from __future__ import annotations

import json
from functools import partial
from types import ModuleType

import numpy as np
import torch
from safetensors.torch import load_file

from pacx.bundle import Bundle, open_bundle, resolve
from pacx.engines import open_ungated
from pacx.engines.protocol import Tensor
from pacx.preprocessing import normalise
from pacx_training.cohorts.phantom import phantom_radiograph


def timm_embedding(model: torch.nn.Module, bundle: Bundle, pixels: Tensor) -> Tensor:
    weights = load_file(bundle.path("model.safetensors"))
    model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
    with torch.inference_mode():
        embedding: Tensor = model.eval()(torch.from_numpy(pixels)).numpy()
    return embedding


def phantom_pixels(bundle: Bundle) -> Tensor:
    spec = bundle.manifest.input
    return normalise(phantom_radiograph(7, spec.size).pixels[np.newaxis], spec)


def assert_same(timm_answer: Tensor, bundle: Bundle, pixels: Tensor) -> None:
    for name in ("onnxruntime", "openvino"):
        engine = open_ungated(bundle, name, precision="f32", threads=1)
        answer = engine.run("encode", {"pixel_values": pixels})["embedding"]
        np.testing.assert_allclose(answer, timm_answer, rtol=1e-3, atol=1e-4)
        engine.close()


def test_shipped_weights_in_the_architecture_that_config_names(timm: ModuleType) -> None:
    bundle = open_bundle(resolve())
    config = json.loads(bundle.path("config.json").read_text())
    model = timm.create_model(
        config["architecture"],
        num_classes=config["num_classes"],
        global_pool="token",
        norm_layer=partial(torch.nn.LayerNorm, eps=config["layer_norm_eps"]),
    )
    pixels = phantom_pixels(bundle)
    assert_same(timm_embedding(model, bundle, pixels), bundle, pixels)


def test_tiny_weights(timm: ModuleType, tiny_bundle: Bundle) -> None:
    encoder = tiny_bundle.manifest.encoder
    model = timm.models.vision_transformer.VisionTransformer(
        img_size=tiny_bundle.manifest.input.size,
        patch_size=encoder.patch_size,
        embed_dim=encoder.embedding_dimension,
        depth=encoder.depth,
        num_heads=encoder.heads,
        num_classes=0,
        global_pool="token",
    )
    pixels = phantom_pixels(tiny_bundle)
    assert_same(timm_embedding(model, tiny_bundle, pixels), tiny_bundle, pixels)
