"""How far stage 2 moved the features of stage 1, and what that cost the reconstruction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.augmentation import resized_crop, whole_boxes
from pacx_training.checkpoints import load_strictly
from pacx_training.cohorts.paired import grey_films
from pacx_training.cohorts.symile_mimic import Split, SymileSplit
from pacx_training.encoder import VisionTransformer
from pacx_training.mae import MaskedAutoencoder
from pacx_training.pretraining import MaeRecipe
from pacx_training.recipes import read_section
from pacx_training.runs import RunDirectory, default_device
from pacx_training.snapshots import load_snapshot

FILMS = 512
"""Measured at most."""
BATCH = 32
_DECODER = "model.decoder_"


class Retention(BaseModel):
    """What stage 2 kept of stage 1; ``retention.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    films: int
    embedding_cka: float | None = Field(
        description="Linear CKA of the CLS embeddings before and after; null for a single film."
    )
    token_cka: float | None = Field(description="The same of the mean patch tokens.")
    embedding_cosine: float = Field(description="Mean cosine of a film's two embeddings.")
    reconstruction_before: float | None = Field(
        None, description="Stage 1's loss with its own encoder; null without its decoder."
    )
    reconstruction_after: float | None = Field(
        None, description="The same decoder on the encoder of stage 2."
    )


def linear_cka(first: NDArray[np.floating], second: NDArray[np.floating]) -> float | None:
    """Linear centred kernel alignment (Kornblith et al. 2019, equation 4).

    Args:
        first: ``[N, D]``.
        second: ``[N, E]``, of the same films.

    Returns:
        1 where the two differ by a rotation and a scale only; None where one is constant.
    """
    one, two = (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64) for x in (first, second))
    shared = np.linalg.norm(one.T @ two) ** 2
    own = np.linalg.norm(one.T @ one) * np.linalg.norm(two.T @ two)
    return float(shared / own) if own > 0 else None


@torch.inference_mode()
def measure_retention(
    before: RunDirectory, after: RunDirectory, splits: Mapping[Split, SymileSplit]
) -> Retention:
    """Compare the encoders of two runs on ``val``, or on ``train`` where that is empty.

    Args:
        before: Run of stage 1; its decoder is taken from its newest snapshot where one is left.
        after: Run of stage 2.
        splits: Of the cohort.

    Raises:
        CheckpointError: A run is invalid.
    """
    name: Split = "val" if len(splits["val"]) else "train"
    old, new = (run.load_encoder().to(default_device()) for run in (before, after))
    films = _films(splits[name], old.config.image_size)
    cls = [_embed(encoder, films, tokens=False) for encoder in (old, new)]
    tokens = [_embed(encoder, films, tokens=True) for encoder in (old, new)]
    lengths = np.linalg.norm(cls[0], axis=1) * np.linalg.norm(cls[1], axis=1)
    return Retention(
        split=name,
        films=len(films),
        embedding_cka=linear_cka(*cls),
        token_cka=linear_cka(*tokens),
        embedding_cosine=float(((cls[0] * cls[1]).sum(axis=1) / lengths).mean()),
        reconstruction_before=_reconstruction(before, old, films),
        reconstruction_after=_reconstruction(before, new, films),
    )


def _films(split: SymileSplit, size: int) -> Tensor:
    grey = torch.from_numpy(grey_films(split, np.arange(min(FILMS, len(split)))))
    prepared = resized_crop(grey, torch.from_numpy(whole_boxes(len(grey))), size).numpy()
    return torch.from_numpy(normalise(prepared, PreprocessingSpec(size=size)))


def _embed(encoder: VisionTransformer, films: Tensor, *, tokens: bool) -> NDArray[np.float32]:
    device = encoder.cls_token.device
    answers = [encoder(batch.to(device)) for batch in torch.split(films, BATCH)]
    return torch.cat([a.tokens.mean(1) if tokens else a.cls for a in answers]).cpu().numpy()


def _reconstruction(run: RunDirectory, encoder: VisionTransformer, films: Tensor) -> float | None:
    """Stage 1's loss with a decoder of its run and any encoder, with the same masks each time."""
    snapshot = load_snapshot(run.checkpoints)
    if snapshot is None or not any(key.startswith(_DECODER) for key in snapshot.module):
        return None
    recipe = read_section(str(run.recipe), "mae", MaeRecipe)
    model = MaskedAutoencoder(encoder, recipe.decoder)
    own = {key.removeprefix("model."): value for key, value in snapshot.module.items()}
    own |= {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    load_strictly(model, own)
    noise = torch.rand(
        len(films), encoder.config.patches, generator=torch.Generator().manual_seed(0)
    )
    options = {"mask_ratio": recipe.mask_ratio, "norm_pix_loss": recipe.norm_pix_loss}
    device, losses = encoder.cls_token.device, []
    model = model.to(device)
    for batch, drawn in zip(torch.split(films, BATCH), torch.split(noise, BATCH), strict=True):
        answer = model(batch.to(device), drawn.to(device), **options)
        losses.append(answer.loss * len(batch))
    return float(torch.stack(losses).sum() / len(films))
