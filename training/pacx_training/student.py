"""The student of stage 2: an adapted encoder, its projections, and the loss of a batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Literal, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pacx_training.encoder import EncoderOutput, VisionTransformer
from pacx_training.gradient_cache import Comparing, Representations
from pacx_training.lora import LoraSettings, add_lora, tune_last_blocks
from pacx_training.objective import (
    contrastive_loss,
    cosine_distances,
    gathered,
    masked_mean,
    mean_of_present,
)
from pacx_training.recipes import RecipeSection

Modality = Literal["ecg", "labs"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
SCALE_LIMITS = (1.0, 100.0)
"""Of the inverse temperature."""


class ObjectiveSettings(RecipeSection):
    """Heads and weights of the loss; the defaults are the paper's."""

    shared_dimension: int = Field(256, ge=1)
    head_dropout: float = Field(0.2, ge=0, lt=1)
    temperature: float = Field(0.07, gt=0, description="At the start; it is learnt.")
    label_smoothing: float = Field(0.02, ge=0, lt=1)
    contrastive_weight: float = Field(0.5, ge=0, description="lambda_C.")
    regression_weight: float = Field(1.0, ge=0, description="lambda_R.")
    retention_weight: float = Field(
        0.0, ge=0, description="Of the distance from stage 1's features; the paper has none."
    )
    retention_of: Literal["both", "patches"] = Field(
        "both",
        description="Class token and patches half each, or the patches alone, which leaves the "
        "class token free to learn.",
    )


class TuningSettings(RecipeSection):
    """Which weights of the encoder are trained."""

    lora: LoraSettings | None = LoraSettings()
    last_blocks: int | None = Field(None, ge=0, description="Instead of LoRA.")

    @model_validator(mode="after")
    def _one(self) -> TuningSettings:
        if (self.lora is None) == (self.last_blocks is None):
            raise ValueError("choose either lora or last_blocks, and set the other to null")
        return self


class ProjectionHead(nn.Sequential):
    """Dropout - Linear - LayerNorm; truncated normal (0.02) weights, as the authors'."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        linear = nn.Linear(inputs, outputs)
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)
        super().__init__(nn.Dropout(dropout), linear, nn.LayerNorm(outputs))


class FrozenFeatures:
    """The encoder as it was before stage 2; no module, so that no snapshot holds it."""

    def __init__(self, encoder: VisionTransformer, *, of: Literal["both", "patches"]) -> None:
        self._encoder, self._of = copy.deepcopy(encoder).eval().requires_grad_(False), of

    def distance(self, tokens: Tensor, features: EncoderOutput, *, blocks: int) -> Tensor:
        """How far features moved: ``1 - cosine``, averaged over films and patches.

        Args:
            tokens: float ``[N, T + 1, D]``, after the first ``blocks`` blocks, which stage 2
                leaves as they were.
            features: Of the encoder now, on the same films.
            blocks: How many are shared.
        """
        with torch.no_grad():
            before = self._encoder.to(tokens.device).finish(tokens, blocks=blocks)
        patches = cosine_distances(features.tokens, before.tokens).mean()
        if self._of == "patches":
            return patches
        return (cosine_distances(features.cls, before.cls).mean() + patches) / 2


class Student(Comparing):
    """Everything that stage 2 trains; the teachers are not part of it."""

    def __init__(
        self,
        encoder: VisionTransformer,
        teachers: Mapping[Modality, int],
        objective: ObjectiveSettings,
        tuning: TuningSettings,
    ) -> None:
        """Adapt ``encoder`` in place; ``teachers`` gives the width of each one's embedding."""
        super().__init__()
        width, shared = encoder.config.embed_dim, objective.shared_dimension
        dropout = objective.head_dropout
        self._before: FrozenFeatures | None = None
        if objective.retention_weight:
            self._before = FrozenFeatures(encoder, of=objective.retention_of)
        depth = encoder.config.depth
        if tuning.lora is not None:
            add_lora(encoder, tuning.lora)
            self._frozen_blocks = depth - len(tuning.lora.adapted(depth))
        else:
            tune_last_blocks(encoder, tuning.last_blocks or 0)
            self._frozen_blocks = max(0, depth - (tuning.last_blocks or 0))
        self.encoder = encoder
        self.objective = objective
        self.cxr_to_shared = ProjectionHead(width, shared, dropout)
        self.to_shared = nn.ModuleDict(
            {name: ProjectionHead(size, shared, dropout) for name, size in teachers.items()}
        )
        self.cxr_to = nn.ModuleDict(
            {name: ProjectionHead(width, size, dropout) for name, size in teachers.items()}
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / objective.temperature)))

    @property
    def scale(self) -> Tensor:
        """The inverse temperature, clamped."""
        return self.log_scale.exp().clamp(*SCALE_LIMITS)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that it learns from, in the order of ``forward``'s arguments."""
        return tuple(name for name in MODALITIES if name in self.cxr_to)

    def represent(self, pixels: Tensor, patients: Tensor, *teachers: Tensor) -> dict[str, Tensor]:
        """Return all that the loss needs to know of some films.

        Args:
            pixels: float ``[N, 3, S, S]``, normalised.
            patients: int64 ``[N]``.
            *teachers: For each modality the teacher's embedding ``[N, dimension]``, and bool
                ``[N]``, False where the admission lacks it.
        """
        # Blocks that stay as they are need no gradient, and retention shares their answer.
        shared = self._frozen_blocks
        with torch.no_grad() if shared else nullcontext():
            tokens = self.encoder.start(self.encoder.embed(pixels), blocks=shared)
        features = self.encoder.finish(tokens, blocks=shared)
        film = self.cxr_to_shared(features.cls)
        told: dict[str, Tensor] = {"film": film, "patients": patients}
        for name, target, present in zip(
            self.modalities, teachers[0::2], teachers[1::2], strict=True
        ):
            told[f"shared_{name}"] = self.to_shared[name](target)
            told[f"distance_{name}"] = cosine_distances(self.cxr_to[name](features.cls), target)
            told[f"present_{name}"] = present
        if self._before is not None:
            told["retention"] = self._before.distance(tokens, features, blocks=shared)[None]
        return told

    def judge(self, representations: Representations) -> dict[str, Tensor]:
        """Return the loss of what was represented, on all ranks together, and its parts."""
        told = {name: gathered(values) for name, values in representations.items()}
        parts: dict[str, Tensor] = {"scale": self.scale.detach()}
        presents = [told[f"present_{name}"] for name in self.modalities]
        for name, present in zip(self.modalities, presents, strict=True):
            parts[f"contrastive_{name}"] = contrastive_loss(
                told["film"],
                told[f"shared_{name}"],
                present,
                told["patients"],
                scale=self.scale,
                smoothing=self.objective.label_smoothing,
            )
            parts[f"regression_{name}"] = masked_mean(told[f"distance_{name}"], present)
        if self._before is not None:
            parts["retention"] = told["retention"].mean()
        return {"loss": self._total(parts, presents), **parts}

    def _total(self, parts: Mapping[str, Tensor], presents: list[Tensor]) -> Tensor:
        def mean(kind: str) -> Tensor:
            return mean_of_present([parts[f"{kind}_{name}"] for name in self.modalities], presents)

        weights = self.objective
        total = weights.contrastive_weight * mean("contrastive")
        total = total + weights.regression_weight * mean("regression")
        if "retention" in parts:
            total = total + weights.retention_weight * parts["retention"]
        return total
