"""Fixtures of the training floor."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
import torch
from pacx_training.encoder import EncoderConfig

_kept_alive: list[torch.library.Library] = []


@pytest.fixture
def tiny() -> EncoderConfig:
    """An encoder that is quick on any machine: 16 patches of 8 pixels, two blocks."""
    return EncoderConfig(image_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    """The library timm, which scripts/test installs with ``--no-deps``.

    torchvision beside the CPU build of torch lacks its compiled operators and refuses to be
    imported unless two of them are declared; the library object must be kept alive.
    """
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for operator in ("nms", "qnms"):
        library.define(operator + signature)  # type: ignore[no-untyped-call]
    _kept_alive.append(library)
    return importlib.import_module("timm")
