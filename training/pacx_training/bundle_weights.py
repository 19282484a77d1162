"""Encoder and anatomy decoder of a bundle in torch, with the weights that the bundle stores."""

from __future__ import annotations

import json

from pacx.bundle import HEADS, WEIGHTS, Bundle
from pacx_training.checkpoints import load_strictly, read_tensors
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.segmentation import AnatomyConfig, AnatomyDecoder

_ANATOMY = "anatomy."


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


def bundle_decoder(bundle: Bundle) -> AnatomyDecoder | None:
    """What finds heart and lungs; None where the bundle has no such decoder.

    Raises:
        CheckpointError: The weights are no decoder.
    """
    if bundle.manifest.anatomy is None:
        return None
    stored = read_tensors(bundle.path(HEADS))
    tensors = {k.removeprefix(_ANATOMY): v for k, v in stored.items() if k.startswith(_ANATOMY)}
    width, embed_dim = tensors["reduce.weight"].shape
    features = len(tensors["refine.bias"])
    config = AnatomyConfig(
        embed_dim=embed_dim,
        grid=bundle.manifest.encoder.grid[0],
        width=width,
        detail=len(tensors["detail.bias"]),
        features=features,
        upsampling=round((len(tensors["up.bias"]) / features) ** 0.5),
    )
    decoder = AnatomyDecoder(config)
    load_strictly(decoder, tensors)
    return decoder.eval()
