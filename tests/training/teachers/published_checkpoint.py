"""A checkpoint as ECGFounder publishes it, its values random."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

FILTERS, BLOCKS, BASE, KERNEL, GROUP = (
    (64, 160, 160, 400, 400, 1024, 1024),
    (2, 2, 2, 3, 3, 4, 4),
    64,
    16,
    16,
)


def published() -> dict[str, Tensor]:
    """A checkpoint with the keys and shapes of ECGFounder's network, its values random."""
    torch.manual_seed(0)
    shapes = dict(_shapes())
    return {
        name: torch.tensor(0) if name.endswith("tracked") else 0.02 * torch.randn(shape)
        for name, shape in shapes.items()
    }


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _convolution("first_conv", 12, BASE, KERNEL)
    yield from _norm("first_bn", BASE)
    width = BASE
    for stage, (filters, count) in enumerate(zip(FILTERS, BLOCKS, strict=True)):
        for block in range(count):
            name = f"stage_list.{stage}.block_list.{block}"
            yield from _block(name, width, filters)
            width = filters
    yield "dense.weight", (150, width)
    yield "dense.bias", (150,)


def _block(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(f"{name}.bn1", inputs)
    yield from _convolution(f"{name}.conv1", inputs, outputs, 1)
    yield from _norm(f"{name}.bn2", outputs)
    yield from _convolution(f"{name}.conv2", GROUP, outputs, KERNEL)
    yield from _norm(f"{name}.bn3", outputs)
    yield from _convolution(f"{name}.conv3", outputs, outputs, 1)
    for layer, shape in (("se_fc1", (outputs // 2, outputs)), ("se_fc2", (outputs, outputs // 2))):
        yield f"{name}.{layer}.weight", shape
        yield f"{name}.{layer}.bias", shape[:1]


def _convolution(
    name: str, inputs: int, outputs: int, kernel: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.conv.weight", (outputs, inputs, kernel)
    yield f"{name}.conv.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()
