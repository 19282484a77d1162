"""AdamW with what should not decay left alone, and smaller steps for earlier blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import nn

_BLOCK = re.compile(r"(?:^|\.)blocks\.(\d+)\.")
_STEM = re.compile(r"(?:^|\.)(cls_token|pos_embed|patch_embed\.)")


def adamw(
    module: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    layer_decay: float = 1.0,
) -> torch.optim.AdamW:
    """An optimiser of everything that requires a gradient.

    Biases, norms, tokens and positions do not decay. Every group holds its peak learning rate
    as ``peak``; the loop sets ``lr`` from it.

    Args:
        module: What is trained.
        learning_rate: Of the last layers.
        weight_decay: Of matrices and kernels.
        betas: Of the moments.
        layer_decay: Factor from each encoder block to the one before it; 1 treats all alike.
    """
    named = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    depth = 1 + max(_blocks(name for name, _ in named), default=-1)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        decay = weight_decay if _decays(name, parameter) else 0.0
        share = layer_decay ** _distance(name, depth)
        groups.setdefault((share, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "weight_decay": decay, "peak": learning_rate * share}
            for (share, decay), members in groups.items()
        ],
        lr=learning_rate,
        betas=betas,
    )


def _blocks(names: Iterable[str]) -> list[int]:
    return [block for name in names if (block := _block(name)) is not None]


def _block(name: str) -> int | None:
    match = _BLOCK.search(name)
    return int(match[1]) if match else None


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not re.search(r"(token|pos_embed)$", name)


def _distance(name: str, depth: int) -> int:
    """How many decays lie between a parameter and the last layers."""
    block = _block(name)
    if block is not None:
        return depth - block
    return depth + 1 if _STEM.search(name) else 0
