"""An anatomy decoder for a tiny encoder, whose masks can be foreseen, for tests."""

from __future__ import annotations

import torch

from pacx.manifest import AnatomySpec, Interval
from pacx_training.encoder import EncoderConfig
from pacx_training.segmentation import AnatomyConfig, AnatomyDecoder


def anatomy_spec() -> AnatomySpec:
    """Results that nobody measured."""
    interval = Interval(value=0.9, low=0.8, high=1.0)
    return AnatomySpec(
        films=6,
        heart_dice=interval,
        right_lung_dice=interval,
        left_lung_dice=interval,
        ratio_films=5,
        ratio_error=Interval(value=0.02, low=0.01, high=0.03),
        ratio_bias=Interval(value=0.0, low=-0.01, high=0.01),
        ratio_deviation=0.025,
        ratio_missing=0,
    )


def random_decoder(encoder: EncoderConfig) -> AnatomyDecoder:
    """A decoder with random weights that fits an encoder."""
    torch.manual_seed(0)
    config = AnatomyConfig(embed_dim=encoder.embed_dim, grid=encoder.grid, width=8, features=4)
    return AnatomyDecoder(config).eval()
