"""Heart and lungs drawn from one encoder's tokens, film by film."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from pacx_training.anatomy_report import decode
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.runs import RunDirectory
from pacx_training.segmentation import (
    AnatomyConfig,
    AnatomyDecoder,
    FittingRecipe,
    dice,
    fit_decoder,
)
from pacx_training.token_cache import TokenCache, cache_tokens, views

VIEWS = 4
"""Randomised views of a film: fewer than of the decoder that ships, the same for every encoder."""
FITTING = FittingRecipe(steps=400)
FOLDS = 3


def dice_of(run: RunDirectory, films: tuple[OutlinedFilm, ...]) -> NDArray[np.float64]:
    """Dice of every film by a small decoder that has seen no film of its patient.

    Args:
        run: Of the frozen encoder.
        films: With outlines.

    Returns:
        float64 ``[N, 3]``, in the order of ``STRUCTURES``.
    """
    shape = run.load_config()
    config = AnatomyConfig(embed_dim=shape.embed_dim, grid=shape.grid)
    cache = cache_tokens(run.load_encoder(), views(films, (), VIEWS, 0), config)
    truth = cache.truth(np.arange(len(films)))
    logits = torch.empty_like(truth)
    patients = np.array([film.patient for film in films])
    for _, held in GroupKFold(FOLDS).split(patients, groups=patients):
        logits[held] = decode(_fitted(config, cache, held), cache, held)
    return np.asarray(dice(logits.numpy() > 0, truth.numpy() > 0.5), dtype=np.float64)


def _fitted(config: AnatomyConfig, cache: TokenCache, held: NDArray[np.intp]) -> AnatomyDecoder:
    rows = torch.from_numpy(np.flatnonzero(~np.isin(cache.film, held)))
    return fit_decoder(config, cache.tokens[rows], cache.detail[rows], cache.masks[rows], FITTING)
