"""``config.json`` as model hubs and timm read it."""

from __future__ import annotations

from pydantic import BaseModel

from pacx.preprocessing import PreprocessingSpec
from pacx_training.encoder import EncoderConfig


class PretrainedConfig(BaseModel):
    """How timm prepares an input."""

    input_size: tuple[int, int, int]
    fixed_input_size: bool = True
    interpolation: str = "bilinear"
    crop_pct: float = 1.0
    crop_mode: str = "squash"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    num_classes: int = 0
    pool_size: None = None
    first_conv: str = "patch_embed.proj"
    classifier: str = "head"
    license: str


class HubConfig(BaseModel):
    """What timm needs to build the encoder: ``timm.create_model(architecture, num_classes=0)``."""

    architecture: str
    num_classes: int = 0
    num_features: int
    global_pool: str = "token"
    layer_norm_eps: float
    pretrained_cfg: PretrainedConfig


def hub_config(encoder: EncoderConfig, spec: PreprocessingSpec, licence: str) -> HubConfig:
    """Describe an encoder for timm."""
    return HubConfig(
        architecture=encoder.architecture,
        num_features=encoder.embed_dim,
        layer_norm_eps=encoder.layer_norm_eps,
        pretrained_cfg=PretrainedConfig(
            input_size=(encoder.in_channels, spec.size, spec.size),
            mean=spec.mean,
            std=spec.std,
            license=licence.lower(),
        ),
    )
