"""The encoder of a bundle in torch, with the weights that the bundle stores."""

from __future__ import annotations

import json

from pacx.bundle import WEIGHTS, Bundle
from pacx_training.checkpoints import load_strictly, read_tensors
from pacx_training.encoder import EncoderConfig, VisionTransformer


def bundle_network(bundle: Bundle) -> VisionTransformer:
    """A new encoder in float32 and evaluation mode.

    Raises:
        CheckpointError: The weights are no encoder.
    """
    encoder = VisionTransformer(encoder_config(bundle))
    tensors = read_tensors(bundle.path(WEIGHTS))
    load_strictly(encoder, {key: tensor.float() for key, tensor in tensors.items()})
    return encoder.eval()


def encoder_config(bundle: Bundle) -> EncoderConfig:
    """The shape of a bundle's encoder, as torch wants it."""
    spec, tensors = bundle.manifest.encoder, read_tensors(bundle.path(WEIGHTS))
    hub = json.loads(bundle.path("config.json").read_bytes())
    return EncoderConfig(
        image_size=bundle.manifest.input.size,
        patch_size=spec.patch_size,
        embed_dim=spec.embedding_dimension,
        depth=spec.depth,
        num_heads=spec.heads,
        mlp_ratio=len(tensors["blocks.0.mlp.fc1.bias"]) / spec.embedding_dimension,
        layer_norm_eps=hub["layer_norm_eps"],
        position_embedding="learned",
    )
