"""LoRA -> plain weights: ``W + alpha / r * B A``; PEFT need not be installed."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from pacx.errors import CheckpointError

_PREFIX = re.compile(r"^(?:[a-z_]+\.)*?base_model\.model\.")
_LORA = re.compile(r"^(?P<layer>.+)\.lora_(?P<side>[AB])(?:\.[A-Za-z0-9_]+)?\.weight$")


def fuse(tensors: Mapping[str, Tensor], *, alpha: float) -> dict[str, Tensor]:
    """Add low-rank updates to the weights that they belong to (Hu et al. 2021, section 4.1).

    Args:
        tensors: A state dict as PEFT writes it (``...base_layer.weight``, ``...lora_A...``,
            ``...lora_B...``, with or without ``base_model.model.`` in front), or plain weights
            together with an adapter's tensors. A is ``[r, in]``, B is ``[out, r]``.
        alpha: LoRA's numerator; the rank r is read off A.

    Returns:
        Plain weights under plain names, float32.

    Raises:
        CheckpointError: An update is incomplete, has no weight to go to or does not fit it.
    """
    named = {_PREFIX.sub("", key): tensor.float() for key, tensor in tensors.items()}
    updates = {key: found for key in named if (found := _LORA.match(key))}
    plain = {
        key.replace(".base_layer.", "."): tensor
        for key, tensor in named.items()
        if key not in updates
    }
    for layer in sorted({found["layer"] for found in updates.values()}):
        sides = {
            found["side"]: named[key] for key, found in updates.items() if found["layer"] == layer
        }
        plain[f"{layer}.weight"] = _fused(layer, plain.get(f"{layer}.weight"), sides, alpha)
    return plain


def _fused(layer: str, weight: Tensor | None, sides: Mapping[str, Tensor], alpha: float) -> Tensor:
    if weight is None:
        raise CheckpointError(f"{layer} has a LoRA update but no weight.")
    if set(sides) != {"A", "B"}:
        raise CheckpointError(f"{layer} has only one half of its LoRA update.")
    down, up = sides["A"], sides["B"]
    if (up.shape[0], down.shape[1]) != tuple(weight.shape) or up.shape[1] != down.shape[0]:
        raise CheckpointError(f"The LoRA update of {layer} does not fit its weight.")
    update = up.double() @ down.double() * (alpha / down.shape[0])
    fused: Tensor = (weight.double() + update).to(torch.float32)
    return fused
