"""Which weights stage 2 may change: low-rank updates through PEFT, or the last blocks.

The encoder keeps its class. While it is adapted, an adapted layer ``L`` has the keys
``L.base_layer.weight``, ``L.lora_A.default.weight`` [r, in] and ``L.lora_B.default.weight``
[out, r]; what :func:`fused_state` answers are timm's plain keys again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from pydantic import Field
from torch import Tensor

from pacx_training.atomic import write_atomically
from pacx_training.encoder import VisionTransformer
from pacx_training.recipes import RecipeSection

_ADAPTER = "default"


class LoraSettings(RecipeSection):
    """Low-rank adaptation (Hu et al. 2021); the defaults are the paper's."""

    rank: int = Field(8, ge=1)
    alpha: int = Field(16, ge=1, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.1, ge=0, lt=1)
    targets: tuple[Literal["qkv", "proj", "fc1", "fc2"], ...] = Field(
        ("qkv", "fc1", "fc2"), min_length=1, description="Linear maps of a block."
    )
    last_blocks: int | None = Field(
        None, ge=1, description="Adapt these alone, which costs less; all blocks by default."
    )

    def adapted(self, depth: int) -> list[int]:
        """The numbers of the blocks that are adapted, of ``depth``."""
        return list(range(max(0, depth - (self.last_blocks or depth)), depth))


def add_lora(encoder: VisionTransformer, settings: LoraSettings) -> None:
    """Freeze the encoder but for new low-rank updates and its final norm.

    Args:
        encoder: Is changed in place; its outputs are the same as before until it is trained.
        settings: Rank, scale, dropout and layers.
    """
    with _without_torchvision():
        from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        layers_to_transform=settings.adapted(encoder.config.depth),
        layers_pattern="blocks",
        bias="none",
    )
    inject_adapter_in_model(config, encoder, adapter_name=_ADAPTER)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_("lora_" in name or name.startswith("norm."))


def tune_last_blocks(encoder: VisionTransformer, count: int) -> None:
    """Freeze the encoder but for its last ``count`` blocks and its final norm."""
    encoder.requires_grad_(False)
    encoder.norm.requires_grad_(True)
    for block in list(encoder.blocks)[len(encoder.blocks) - count :]:
        block.requires_grad_(True)


def fused_state(encoder: VisionTransformer) -> dict[str, Tensor]:
    """The encoder's weights with every update added (``W + alpha / r * B A``), timm's keys."""
    state = {
        name.replace(".base_layer.", "."): tensor.detach().clone()
        for name, tensor in encoder.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in _adapted(encoder):
        state[f"{name}.weight"] += layer.get_delta_weight(_ADAPTER).detach()
    return state


def fused(encoder: VisionTransformer) -> VisionTransformer:
    """A plain encoder that answers as the adapted one does, on the processor."""
    plain = VisionTransformer(encoder.config)
    plain.load_state_dict({name: value.cpu() for name, value in fused_state(encoder).items()})
    return plain.eval()


def save_adapter(encoder: VisionTransformer, settings: LoraSettings, folder: Path) -> None:
    """Write the updates alone, as ``adapter.safetensors`` with PEFT's names.

    The file's metadata hold rank and alpha; the base is the encoder that stage 2 began with, and
    the norm that was trained beside them is in the run's ``model.safetensors``.
    """
    tensors = {
        f"base_model.model.{name}".replace(f".{_ADAPTER}.", "."): tensor.detach().cpu().contiguous()
        for name, tensor in encoder.state_dict().items()
        if ".lora_" in name
    }
    metadata = {"rank": str(settings.rank), "alpha": str(settings.alpha)}
    content = safetensors.torch.save(tensors, metadata)
    write_atomically(folder / "adapter.safetensors", content)


def _adapted(encoder: VisionTransformer) -> Iterator[tuple[str, Any]]:
    for name, layer in encoder.named_modules():
        if hasattr(layer, "get_delta_weight"):
            yield name, layer


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Hide torchvision from transformers, which PEFT imports.

    A torchvision that was built for another torch refuses to be imported, and nothing of it is
    needed here.
    """
    if "torchvision" in sys.modules:
        yield
        return
    sys.modules["torchvision"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torchvision"]
