"""Adapters to plain weights: ``W + alpha / r * B A``, without PEFT."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from pacx.errors import CheckpointError

_PREFIX = re.compile(r"^(?:[a-z_]+\.)*?base_model\.model\.")
_LORA = re.compile(r"^(?P<layer>.+)\.lora_(?P<side>[AB])(?:\.[A-Za-z0-9_]+)?\.weight$")
_BASE = ".base_layer.weight"
_REPLACED = re.compile(r"\.original_module\.")
_TRAINED = re.compile(r"\.modules_to_save\.[A-Za-z0-9_]+\.")


def fuse_adapter(tensors: Mapping[str, Tensor], *, alpha: float) -> dict[str, Tensor]:
    """Add low-rank updates to the weights that they belong to (Hu et al. 2021, section 4.1).

    Args:
        tensors: A state dict of a PEFT model: ``L.base_layer.weight``, ``L.lora_A.default.weight``
            ``[r, in]``, ``L.lora_B.default.weight`` ``[out, r]``, and for a layer that was trained
            whole ``L.original_module.weight`` beside ``L.modules_to_save.default.weight``.
        alpha: LoRA's numerator; the rank r is read off A.

    Returns:
        Plain weights under plain names, float32.

    Raises:
        CheckpointError: An update is missing or incomplete, has no weight to go to or does not
            fit it.
    """
    named = {_PREFIX.sub("", key): tensor.float() for key, tensor in tensors.items()}
    updates: dict[str, dict[str, Tensor]] = {}
    plain: dict[str, Tensor] = {}
    for key, tensor in named.items():
        if match := _LORA.match(key):
            updates.setdefault(match["layer"], {})[match["side"]] = tensor
        elif not _REPLACED.search(key):
            plain[_TRAINED.sub(".", key.replace(".base_layer.", "."))] = tensor
    adapted = {key.removesuffix(_BASE) for key in named if key.endswith(_BASE)}
    for layer in sorted(adapted - updates.keys()):
        raise CheckpointError(f"{layer} was adapted, but its LoRA update is missing.")
    for layer, sides in updates.items():
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
    return (weight.double() + update).float()
