"""The laboratory teacher: a denoising autoencoder of percentiles that knows what was measured.

Architecture, corruption and loss are those of the paper's ``labs_dae``: percentiles and mask are
concatenated, a share of the observed values is hidden from the encoder, and the decoder answers
all observed ones.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class LaboratoryTeacherConfig(BaseModel):
    """The shape of a laboratory teacher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    analytes: int = Field(50, ge=1)
    hidden: int = Field(512, ge=1)
    dimension: int = Field(256, ge=1, description="Width of its embedding.")


class LaboratoryTeacher(nn.Module):
    """Linear - LayerNorm - GELU - Linear, and a decoder Linear - GELU - Linear - Sigmoid."""

    def __init__(self, config: LaboratoryTeacherConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(
            nn.Linear(2 * config.analytes, config.hidden),
            nn.LayerNorm(config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.dimension),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.dimension, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.analytes),
            nn.Sigmoid(),
        )

    @property
    def dimension(self) -> int:
        """Width of the embedding."""
        return self.config.dimension

    def encode(self, percentiles: Tensor, observed: Tensor) -> Tensor:
        """Embed laboratory values.

        Args:
            percentiles: ``[N, analytes]`` in [0, 1]; what stands where nothing was observed (a
                mean, in Symile's files) is ignored.
            observed: ``[N, analytes]``, 1 where measured.

        Returns:
            ``[N, dimension]``.
        """
        mask = observed.to(percentiles.dtype)
        embedding: Tensor = self.encoder(torch.cat([percentiles * mask, mask], dim=1))
        return embedding

    def forward(self, percentiles: Tensor, observed: Tensor) -> Tensor:
        """Reconstruct all percentiles ``[N, analytes]`` from the observed ones."""
        reconstruction: Tensor = self.decoder(self.encode(percentiles, observed))
        return reconstruction


def hidden_from(observed: Tensor, drawn: Tensor, share: float) -> Tensor:
    """Choose which observed values the encoder may not see.

    Args:
        observed: ``[N, analytes]``, 1 where measured.
        drawn: Uniform numbers in [0, 1), ``[N, analytes]``.
        share: Probability that an observed value is hidden.

    Returns:
        bool ``[N, analytes]``, True where hidden.
    """
    return (drawn < share) & observed.bool()
