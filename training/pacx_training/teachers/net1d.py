"""Net1D, the convolutional network behind ECGFounder (Li et al., NEJM AI 2025; Hong et al. 2020).

Blocks of 1 - k - 1 convolutions with squeeze and excitation, halving the time at the start of each
stage. Module names follow the published checkpoint, so that its keys load as they are; its batch
norms are stored there but never run (``batch_norm=False``), and are left out here in that case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from pacx.errors import CheckpointError
from pacx_training.checkpoints import load_strictly, read_tensors

_NEVER_RUN = re.compile(r"(^|\.)(first_bn|bn[123])\.")
_CLASSIFIER = "dense."

Count = Annotated[int, Field(ge=1)]


class Net1DConfig(BaseModel):
    """The shape of a Net1D; the defaults are ECGFounder's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    leads: int = Field(12, ge=1)
    base_filters: int = Field(64, ge=1, description="Channels after the first convolution.")
    ratio: float = Field(1.0, gt=0, description="Inner channels of a block over its output.")
    filters: tuple[Count, ...] = Field((64, 160, 160, 400, 400, 1024, 1024), min_length=1)
    blocks: tuple[Count, ...] = (2, 2, 2, 3, 3, 4, 4)
    kernel_size: int = Field(16, ge=1)
    stride: int = Field(2, ge=1, description="At the first block of every stage.")
    groups_width: int = Field(16, ge=1, description="Channels of one group of a block's middle.")
    batch_norm: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Net1DConfig:
        if len(self.filters) != len(self.blocks):
            raise ValueError("filters and blocks must have the same length")
        if any(width % self.groups_width for width in self.filters):
            raise ValueError("every width must be a multiple of groups_width")
        for width in self.filters:
            inner = int(width * self.ratio)
            if inner == 0 or inner % (width // self.groups_width):
                raise ValueError(f"ratio leaves {inner} inner channels of {width}, not in groups")
        return self


class SameConvolution(nn.Module):
    """A convolution whose output has ``ceil(length / stride)`` samples (TensorFlow's SAME)."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, stride, groups=groups)
        self._kernel, self._stride = kernel_size, stride

    def forward(self, signal: Tensor) -> Tensor:
        """Map ``[N, inputs, L]`` to ``[N, outputs, ceil(L / stride)]``."""
        length = signal.shape[-1]
        outputs = -(-length // self._stride)
        padding = max(0, (outputs - 1) * self._stride + self._kernel - length)
        padded = functional.pad(signal, (padding // 2, padding - padding // 2))
        result: Tensor = self.conv(padded)
        return result


class Net1DBlock(nn.Module):
    """Three pre-activated convolutions, squeeze and excitation, and a shortcut."""

    def __init__(
        self, config: Net1DConfig, inputs: int, outputs: int, *, opens_stage: bool, first: bool
    ) -> None:
        super().__init__()
        middle = int(outputs * config.ratio)
        groups = outputs // config.groups_width
        self._stride = config.stride if opens_stage else 1
        self._first, self._added = first, outputs - inputs
        self.conv1 = SameConvolution(inputs, middle, 1)
        self.conv2 = SameConvolution(
            middle, middle, config.kernel_size, stride=self._stride, groups=groups
        )
        self.conv3 = SameConvolution(middle, outputs, 1)
        self.se_fc1 = nn.Linear(outputs, outputs // 2)
        self.se_fc2 = nn.Linear(outputs // 2, outputs)
        self.bn1, self.bn2, self.bn3 = (
            nn.BatchNorm1d(width) if config.batch_norm else nn.Identity()
            for width in (inputs, middle, middle)
        )

    def forward(self, signal: Tensor) -> Tensor:
        """Map ``[N, inputs, L]`` to ``[N, outputs, ceil(L / stride)]``."""
        opened = signal if self._first else functional.silu(self.bn1(signal))
        inner = self.conv2(functional.silu(self.bn2(self.conv1(opened))))
        inner = self.conv3(functional.silu(self.bn3(inner)))
        squeezed = self.se_fc2(functional.silu(self.se_fc1(inner.mean(-1))))
        excited: Tensor = inner * torch.sigmoid(squeezed).unsqueeze(-1)
        return excited + self._shortcut(signal)

    def _shortcut(self, signal: Tensor) -> Tensor:
        if self._stride > 1:
            padding = self._stride - 1
            padded = functional.pad(signal, (padding // 2, padding - padding // 2))
            signal = functional.max_pool1d(padded, self._stride)
        before = self._added // 2
        return functional.pad(signal, (0, 0, before, self._added - before))


class Net1DStage(nn.Module):
    """Blocks of one width; the first halves the time."""

    def __init__(
        self, config: Net1DConfig, inputs: int, outputs: int, count: int, *, first: bool
    ) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(
            Net1DBlock(
                config,
                inputs if number == 0 else outputs,
                outputs,
                opens_stage=number == 0,
                first=first and number == 0,
            )
            for number in range(count)
        )

    def forward(self, signal: Tensor) -> Tensor:
        """Map ``[N, inputs, L]`` to ``[N, outputs, ceil(L / stride)]``."""
        for block in self.block_list:
            signal = block(signal)
        return signal


class Net1D(nn.Module):
    """The electrocardiogram encoder; its features averaged over time are the embedding."""

    def __init__(self, config: Net1DConfig) -> None:
        super().__init__()
        self.config = config
        self.first_conv = SameConvolution(
            config.leads, config.base_filters, config.kernel_size, stride=2
        )
        self.first_bn = nn.BatchNorm1d(config.base_filters) if config.batch_norm else nn.Identity()
        widths = (config.base_filters, *config.filters)
        self.stage_list = nn.ModuleList(
            Net1DStage(config, widths[i], widths[i + 1], count, first=i == 0)
            for i, count in enumerate(config.blocks)
        )

    @property
    def dimension(self) -> int:
        """Width of the embedding."""
        return self.config.filters[-1]

    def features(self, ecg: Tensor) -> Tensor:
        """Map records ``[N, leads, L]`` to features over time ``[N, dimension, T]``."""
        signal = functional.silu(self.first_bn(self.first_conv(ecg)))
        for stage in self.stage_list:
            signal = stage(signal)
        return signal

    def forward(self, ecg: Tensor) -> Tensor:
        """Embed filtered, z-scored records ``[N, leads, L]`` (500 Hz) as ``[N, dimension]``."""
        return self.features(ecg).mean(-1)


def import_ecgfounder(path: Path, config: Net1DConfig | None = None) -> Net1D:
    """Read the encoder out of ECGFounder's published checkpoint; its classifier is left behind.

    Raises:
        CheckpointError: Not a safe checkpoint, or keys or shapes are not Net1D's.
    """
    network = Net1D(config or Net1DConfig())
    load_strictly(network, encoder_tensors(read_tensors(path), network.config))
    return network.eval()


def encoder_tensors(tensors: Mapping[str, Tensor], config: Net1DConfig) -> dict[str, Tensor]:
    """Pick the encoder's tensors: no classifier, and no batch norms where they never run.

    Raises:
        CheckpointError: None of the names is Net1D's.
    """
    plain = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    if "first_conv.conv.weight" not in plain:
        raise CheckpointError("The checkpoint holds no first_conv.conv.weight: not a Net1D.")
    return {
        name: tensor
        for name, tensor in plain.items()
        if not name.startswith(_CLASSIFIER) and (config.batch_norm or not _NEVER_RUN.search(name))
    }
