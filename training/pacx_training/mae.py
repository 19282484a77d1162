"""Stage 1: masked autoencoding (He et al., arXiv 2111.06377), formulated as facebookresearch/mae.

The encoder sees a few patches of a film; a small decoder sees their tokens, a learned token in
every other place, and predicts the pixels that were hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from pacx_training.encoder import Block, VisionTransformer, initialise
from pacx_training.positions import sincos_positions


class DecoderConfig(BaseModel):
    """The shape of the decoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embed_dim: int = Field(512, ge=4, multiple_of=4, description="Width of a token.")
    depth: int = Field(8, ge=1, description="Number of blocks.")
    num_heads: int = Field(16, ge=1, description="A divisor of embed_dim.")

    @model_validator(mode="after")
    def _divisible(self) -> DecoderConfig:
        if self.embed_dim % self.num_heads:
            raise ValueError("embed_dim must be a multiple of num_heads")
        return self


class Reconstruction(NamedTuple):
    """What a masked autoencoder answers.

    Attributes:
        loss: Mean squared error over the hidden patches.
        predicted: ``[N, T, P * P * C]``, rows of :func:`patchify`.
        mask: float ``[N, T]``, 1 where hidden.
    """

    loss: Tensor
    predicted: Tensor
    mask: Tensor


class MaskedAutoencoder(nn.Module):
    """An encoder and the decoder that teaches it; keys as facebookresearch/mae names them."""

    def __init__(self, encoder: VisionTransformer, config: DecoderConfig) -> None:
        super().__init__()
        self.encoder, shape = encoder, encoder.config
        self.decoder_embed = nn.Linear(shape.embed_dim, config.embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim))
        self.decoder_pos_embed = nn.Parameter(
            sincos_positions(config.embed_dim, shape.grid), requires_grad=False
        )
        self.decoder_blocks = nn.ModuleList(
            Block(
                config.embed_dim,
                config.num_heads,
                mlp_ratio=shape.mlp_ratio,
                eps=shape.layer_norm_eps,
            )
            for _ in range(config.depth)
        )
        self.decoder_norm = nn.LayerNorm(config.embed_dim, eps=shape.layer_norm_eps)
        self.decoder_pred = nn.Linear(config.embed_dim, shape.patch_size**2 * shape.in_channels)
        for part in (self.decoder_embed, self.decoder_blocks, self.decoder_pred):
            initialise(part)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, pixels: Tensor, noise: Tensor, *, mask_ratio: float, norm_pix_loss: bool = False
    ) -> Reconstruction:
        """Hide patches, reconstruct them, and measure how well.

        Args:
            pixels: float ``[N, C, S, S]``, normalised.
            noise: float ``[N, T]``; the patches with the least noise stay visible.
            mask_ratio: Share of the patches that is hidden.
            norm_pix_loss: Whether each target patch is standardised by its own mean and variance.
        """
        order = noise.argsort(dim=1)
        visible = order[:, : int(noise.shape[1] * (1 - mask_ratio))]
        mask = torch.ones_like(noise).scatter(1, visible, 0.0)
        predicted = self.decode(visible, *self.encoder.forward_visible(pixels, visible)[:2])
        target = patchify(pixels, self.encoder.config.patch_size)
        loss = masked_loss(predicted, target, mask, norm_pix_loss=norm_pix_loss)
        return Reconstruction(loss, predicted, mask)

    def decode(self, visible: Tensor, cls: Tensor, tokens: Tensor) -> Tensor:
        """Predict all patches.

        Args:
            visible: int64 ``[N, K]``, which patches the tokens belong to.
            cls: ``[N, D]``.
            tokens: ``[N, K, D]``.

        Returns:
            ``[N, T, P * P * C]``.
        """
        known = self.decoder_embed(torch.cat([cls[:, None], tokens], dim=1))
        places = visible[..., None].expand(-1, -1, known.shape[-1])
        hidden = self.mask_token.to(known.dtype)
        hidden = hidden.expand(len(known), self.encoder.config.patches, -1)
        patches = hidden.scatter(1, places, known[:, 1:])
        mixed = torch.cat([known[:, :1], patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            mixed, _ = block(mixed)
        predicted: Tensor = self.decoder_pred(self.decoder_norm(mixed))
        return predicted[:, 1:]


def patchify(pixels: Tensor, patch_size: int) -> Tensor:
    """Pictures as rows of pixels, patch by patch.

    Args:
        pixels: ``[N, C, S, S]``.
        patch_size: Side P of a patch.

    Returns:
        ``[N, T, P * P * C]``, within a patch row, column, channel.
    """
    batch, channels, side, _ = pixels.shape
    grid = side // patch_size
    cut = pixels.reshape(batch, channels, grid, patch_size, grid, patch_size)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, grid * grid, -1)


def unpatchify(patches: Tensor, patch_size: int, channels: int = 3) -> Tensor:
    """The inverse of :func:`patchify`: ``[N, T, P * P * C]`` -> ``[N, C, S, S]``."""
    batch, grid = len(patches), round(patches.shape[1] ** 0.5)
    cut = patches.reshape(batch, grid, grid, patch_size, patch_size, channels)
    side = grid * patch_size
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, side, side)


def patch_scale(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (unbiased variance + 1e-6) of each patch ``[N, T, X]``: ``[N, T, 1]``."""
    mean, variance = patches.mean(-1, keepdim=True), patches.var(-1, keepdim=True)
    return mean, (variance + 1e-6).sqrt()


def masked_loss(
    predicted: Tensor, target: Tensor, mask: Tensor, *, norm_pix_loss: bool = False
) -> Tensor:
    """Mean squared error over the hidden patches.

    Args:
        predicted: ``[N, T, P * P * C]``.
        target: The same shape.
        mask: ``[N, T]``, 1 where hidden.
        norm_pix_loss: Standardise each target patch (unbiased variance + 1e-6).
    """
    target = target.float()
    if norm_pix_loss:
        mean, deviation = patch_scale(target)
        target = (target - mean) / deviation
    errors = (predicted.float() - target).square().mean(dim=-1)
    return (errors * mask).sum() / mask.sum()
