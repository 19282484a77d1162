"""How well a decoder finds heart and lungs on films of patients that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from pacx.manifest import AnatomySpec, Interval
from pacx.masks import STRUCTURES, masks_from
from pacx.measures import cardiothoracic
from pacx.preprocessing import Geometry
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.intervals import resampled_weights
from pacx_training.segmentation import AnatomyDecoder, dice
from pacx_training.token_cache import TokenCache

Fit: TypeAlias = Callable[[NDArray[np.intp]], AnatomyDecoder]
"""Fits a decoder on the views of these numbers."""

REPLICATES = 2000


def cross_validate(
    cache: TokenCache, films: Sequence[OutlinedFilm], fit: Fit, *, folds: int
) -> AnatomySpec:
    """Measure on every film with a decoder that has seen no film of its patient."""
    patients = np.array([film.patient for film in films])
    truth = cache.truth(np.arange(len(films)))
    logits = torch.empty_like(truth)
    for _, held in GroupKFold(folds).split(patients, groups=patients):
        decoder = fit(np.flatnonzero(~np.isin(cache.film, held)))
        logits[held] = decode(decoder, cache, held)
    return report(logits.numpy(), truth.numpy(), films)


@torch.inference_mode()
def decode(decoder: AnatomyDecoder, cache: TokenCache, rows: NDArray[np.intp]) -> torch.Tensor:
    """Logits ``[K, 3, side, side]`` of some views."""
    index = torch.from_numpy(rows)
    logits: torch.Tensor = decoder(cache.tokens[index].float(), cache.detail[index].float())
    return logits


def report(
    logits: NDArray[np.float32], truth: NDArray[np.float32], films: Sequence[OutlinedFilm]
) -> AnatomySpec:
    """Compare logits with outlines.

    Args:
        logits: ``[N, 3, side, side]``.
        truth: The same shape, shares of a pixel in [0, 1].
        films: Their patients, and whether their outlines are certain.
    """
    patients = np.array([film.patient for film in films])
    scores = dice(logits > 0, truth > 0.5)
    certain = np.array([film.certain for film in films])
    errors = np.array([_error(*pair) for pair in zip(logits, truth, strict=True)])
    measured = certain & np.isfinite(errors)
    kept = errors[measured]
    return AnatomySpec(
        films=len(films),
        **{
            f"{name}_dice": mean_interval(scores[:, channel], patients)
            for channel, name in enumerate(STRUCTURES)
        },
        ratio_films=int(measured.sum()),
        ratio_error=mean_interval(np.abs(kept), patients[measured]) if len(kept) else None,
        ratio_bias=mean_interval(kept, patients[measured]) if len(kept) else None,
        ratio_deviation=float(kept.std(ddof=1)) if len(kept) > 1 else None,
        ratio_missing=int((certain & ~np.isfinite(errors)).sum()),
    )


def mean_interval(values: NDArray[np.float64], patients: NDArray[np.str_]) -> Interval:
    """A mean with its 95 % interval over resampled patients."""
    weights = resampled_weights(
        np.zeros(len(values), np.bool_), patients, REPLICATES, np.random.default_rng(0)
    )
    low, high = np.quantile(weights @ values / weights.sum(axis=1), [0.025, 0.975])
    return Interval(value=float(values.mean()), low=float(low), high=float(high))


def _error(logits: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    square = Geometry(rows=224, columns=224, size=224)
    measured, wanted = (
        cardiothoracic(masks_from(masks, square.size), square) for masks in (logits, truth - 0.5)
    )
    return measured.ratio - wanted.ratio if measured and wanted else float("nan")
