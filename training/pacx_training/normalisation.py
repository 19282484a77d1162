"""Encoders that were trained with another normalisation than ImageNet's, made to take ImageNet's.

All of PaCX, from training to serving, normalises films with one mean and standard deviation. A
patch embedding is linear and does not pad, so that the difference folds into it exactly.
"""

from __future__ import annotations

import torch

from pacx.preprocessing import PreprocessingSpec
from pacx_training.encoder import VisionTransformer


def fold_normalisation(encoder: VisionTransformer, wanted: PreprocessingSpec) -> None:
    """Change a patch embedding in place, so that the encoder takes PaCX's ``pixel_values``.

    With ``x`` as PaCX normalises it and ``x'`` as the weights want it,
    ``x' = (x std + mean - mean') / std'``, channel by channel.

    Args:
        encoder: Whose weights want ``wanted``.
        wanted: Mean and standard deviation that the weights were trained with.
    """
    usual = PreprocessingSpec(size=wanted.size)
    if (wanted.mean, wanted.std) == (usual.mean, usual.std):
        return
    mean, std, wanted_mean, wanted_std = (
        torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)
        for values in (usual.mean, usual.std, wanted.mean, wanted.std)
    )
    projection = encoder.patch_embed.proj
    weight, bias = projection.weight.detach().double(), projection.bias
    shift = (weight * (mean - wanted_mean) / wanted_std).sum(dim=(1, 2, 3))
    with torch.no_grad():
        projection.weight.copy_(weight * std / wanted_std)
        if bias is not None:
            bias.add_(shift)
