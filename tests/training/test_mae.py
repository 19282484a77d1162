"""Masked autoencoding, recomputed from its equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.mae import (
    DecoderConfig,
    MaskedAutoencoder,
    masked_loss,
    patchify,
    unpatchify,
)

FILMS, RATIO = 3, 0.7


@pytest.fixture
def model(tiny: EncoderConfig) -> MaskedAutoencoder:
    """A small masked autoencoder whose every parameter has been moved off its initial value."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(
        VisionTransformer(tiny), DecoderConfig(embed_dim=16, depth=2, num_heads=2)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.fixture
def pixels(tiny: EncoderConfig) -> Tensor:
    """Random films, float32 ``[3, 3, 32, 32]``."""
    side = tiny.image_size
    return torch.randn(FILMS, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise(tiny: EncoderConfig) -> Tensor:
    """Random noise, float32 ``[3, 16]``."""
    return torch.rand(FILMS, tiny.patches, generator=torch.Generator().manual_seed(2))


def _layer_norm(tokens: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    mean = tokens.mean(-1, keepdim=True)
    variance = ((tokens - mean) ** 2).mean(-1, keepdim=True)
    scaled = (tokens - mean) / (variance + 1e-6).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(tokens: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return tokens @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _block(tokens: Tensor, weights: dict[str, Tensor], name: str, heads: int) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V head by head, and the two-layer perceptron, on ``[L, D]``."""
    query, key, value = _linear(
        _layer_norm(tokens, weights, f"{name}.norm1"), weights, f"{name}.attn.qkv"
    ).chunk(3, dim=-1)
    width = tokens.shape[-1] // heads
    mixed = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = query[:, part] @ key[:, part].T / math.sqrt(width)
        mixed.append(torch.softmax(scores, dim=-1) @ value[:, part])
    tokens = tokens + _linear(torch.cat(mixed, dim=-1), weights, f"{name}.attn.proj")
    hidden = _linear(_layer_norm(tokens, weights, f"{name}.norm2"), weights, f"{name}.mlp.fc1")
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return tokens + _linear(gelu, weights, f"{name}.mlp.fc2")


def _patches(picture: Tensor, size: int) -> list[Tensor]:
    """Flat pixels of every patch ``[C, P, P]``, row by row."""
    side = picture.shape[-1]
    return [
        picture[:, top : top + size, left : left + size]
        for top in range(0, side, size)
        for left in range(0, side, size)
    ]


def _equations(
    weights: dict[str, Tensor], picture: Tensor, noise: NDArray[np.float32], config: EncoderConfig
) -> tuple[Tensor, NDArray[np.bool_]]:
    """Predictions ``[T, P * P * C]`` and mask ``[T]`` of one film, one patch at a time."""
    keep = int(len(noise) * (1 - RATIO))
    visible = sorted(range(len(noise)), key=lambda patch: noise[patch])[:keep]
    patches = _patches(picture, config.patch_size)
    kernel = weights["encoder.patch_embed.proj.weight"].flatten(1)
    bias, positions = weights["encoder.patch_embed.proj.bias"], weights["encoder.pos_embed"][0]
    tokens = [weights["encoder.cls_token"][0, 0] + positions[0]]
    tokens += [kernel @ patches[i].flatten() + bias + positions[1 + i] for i in visible]
    encoded = torch.stack(tokens)
    for index in range(config.depth):
        encoded = _block(encoded, weights, f"encoder.blocks.{index}", config.num_heads)
    known = _linear(_layer_norm(encoded, weights, "encoder.norm"), weights, "decoder_embed")
    places = [weights["mask_token"][0, 0]] * len(noise)
    for order, patch in enumerate(visible):
        places[patch] = known[1 + order]
    decoded = torch.stack([known[0], *places]) + weights["decoder_pos_embed"][0]
    for index in range(2):
        decoded = _block(decoded, weights, f"decoder_blocks.{index}", 2)
    predicted = _linear(_layer_norm(decoded, weights, "decoder_norm"), weights, "decoder_pred")
    mask = np.ones(len(noise), dtype=np.bool_)
    mask[visible] = False
    return predicted[1:], mask


def _loss(
    weights: dict[str, Tensor],
    pixels: Tensor,
    noise: Tensor,
    config: EncoderConfig,
    norm_pix_loss: bool,
) -> Tensor:
    errors = []
    for picture, row in zip(pixels, noise.numpy(), strict=True):
        predicted, mask = _equations(weights, picture, row, config)
        for index in np.flatnonzero(mask):
            patch = _patches(picture, config.patch_size)[index]
            target = patch.permute(1, 2, 0).flatten()  # row, column, channel
            if norm_pix_loss:
                variance = ((target - target.mean()) ** 2).sum() / (len(target) - 1)
                target = (target - target.mean()) / (variance + 1e-6).sqrt()
            errors.append(((predicted[index] - target) ** 2).mean())
    return torch.stack(errors).mean()


@pytest.mark.parametrize("norm_pix_loss", [False, True])
def test_loss_mask_and_gradients_follow_the_equations(
    model: MaskedAutoencoder,
    pixels: Tensor,
    noise: Tensor,
    tiny: EncoderConfig,
    norm_pix_loss: bool,
) -> None:
    answer = model(pixels, noise, mask_ratio=RATIO, norm_pix_loss=norm_pix_loss)
    answer.loss.backward()
    weights = {
        name: parameter.detach().clone().requires_grad_(parameter.requires_grad)
        for name, parameter in model.named_parameters()
    }
    expected = _loss(weights, pixels, noise, tiny, norm_pix_loss)
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(answer.loss, expected, atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[name].grad, atol=1e-5, rtol=1e-5)
    for film in range(FILMS):
        predicted, mask = _equations(weights, pixels[film], noise[film].numpy(), tiny)
        torch.testing.assert_close(answer.predicted[film], predicted, atol=1e-5, rtol=1e-5)
        np.testing.assert_array_equal(answer.mask[film].numpy(), mask)


def test_nine_in_ten_patches_leave_nineteen_visible() -> None:
    config = EncoderConfig(image_size=224, patch_size=16, embed_dim=8, depth=1, num_heads=1)
    model = MaskedAutoencoder(
        VisionTransformer(config), DecoderConfig(embed_dim=8, depth=1, num_heads=1)
    )
    noise = torch.rand(2, 196)
    answer = model(torch.randn(2, 3, 224, 224), noise, mask_ratio=0.9)
    assert answer.mask.sum(dim=1).tolist() == [177, 177]
    for row in range(2):
        hidden = answer.mask[row].bool()
        assert noise[row][~hidden].max() < noise[row][hidden].min()


def test_what_is_hidden_is_not_seen(
    model: MaskedAutoencoder, pixels: Tensor, noise: Tensor, tiny: EncoderConfig
) -> None:
    before = model(pixels, noise, mask_ratio=RATIO)
    hidden = before.mask[..., None].expand(-1, -1, 3 * tiny.patch_size**2)
    changed = pixels + unpatchify(hidden, tiny.patch_size) * torch.randn_like(pixels)
    after = model(changed, noise, mask_ratio=RATIO)
    assert torch.equal(before.predicted, after.predicted)
    assert not torch.equal(before.loss, after.loss)


def test_patches_are_cut_and_joined(pixels: Tensor) -> None:
    patches = patchify(pixels, 8)
    assert torch.equal(patches[1, 6], pixels[1, :, 8:16, 16:24].permute(1, 2, 0).flatten())
    assert torch.equal(unpatchify(patches, 8), pixels)


def test_visible_patches_do_not_count() -> None:
    predicted, target = torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
    target[0, 1] = 100.0
    assert masked_loss(predicted, target, torch.tensor([[1.0, 0.0]])) == 1.0
