"""Ridge probes of the latent state on frozen embeddings, and of the heart on patch tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.augmentation import resized_crop, whole_boxes
from pacx_training.cohorts.paired import grey_films
from pacx_training.cohorts.simulated.physiology import STATES
from pacx_training.cohorts.symile_mimic import SymileSplit
from pacx_training.encoder import VisionTransformer

Values = NDArray[np.float64]
BATCH = 64
STRENGTHS = np.logspace(-1, 5, 13)
"""Of the ridge; chosen by leave-one-out within the films that the probe may see."""
TOKEN_RIDGE = 1.0
HEART = 1
"""Of the heart in the cohort's masks."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What an encoder says of a split: float32 ``[N, D]`` and ``[N, T, D]``."""

    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float32]


@torch.inference_mode()
def encode(encoder: VisionTransformer, split: SymileSplit) -> Encoded:
    """Encode every film of a split."""
    spec = PreprocessingSpec(size=encoder.config.image_size)
    embeddings, tokens = [], []
    for start in range(0, len(split), BATCH):
        films = torch.from_numpy(
            grey_films(split, np.arange(start, min(start + BATCH, len(split))))
        )
        grey = resized_crop(films, torch.from_numpy(whole_boxes(len(films))), spec.size)
        answer = encoder(torch.from_numpy(normalise(grey.numpy(), spec)))
        embeddings.append(answer.cls.numpy())
        tokens.append(answer.tokens.numpy())
    return Encoded(np.concatenate(embeddings), np.concatenate(tokens))


def latent_scores(cohort: Path, split: SymileSplit) -> Values:
    """The latent scores of a split's admissions, ``[N, states]``, as the simulator drew them."""
    truth = pd.read_parquet(cohort / "truth" / f"{split.name}.parquet").set_index("hadm_id")
    return truth.loc[split.admissions, list(STATES)].to_numpy(dtype=np.float64)


def predictions(
    train: NDArray[np.float32], scores: Values, test: NDArray[np.float32], rows: NDArray[np.int64]
) -> Values:
    """Predict latent scores of test films by a ridge on some training films.

    Args:
        train: Embeddings ``[N, D]``.
        scores: ``[N, states]``.
        test: Embeddings ``[M, D]``.
        rows: Training films that the probe may see.

    Returns:
        ``[M, states]``.
    """
    probe = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS, alpha_per_target=True))
    return np.asarray(probe.fit(train[rows].astype(np.float64), scores[rows]).predict(test))


def correlations(truth: Values, predicted: Values, weights: Values) -> Values:
    """Weighted Pearson correlation of each column: ``[R, states]`` for weights ``[R, N]``."""
    share = weights / weights.sum(axis=1, keepdims=True)

    def product(one: Values, two: Values) -> Values:
        return np.asarray(share @ (one * two) - (share @ one) * (share @ two))

    spread = product(truth, truth) * product(predicted, predicted)
    return product(truth, predicted) / np.sqrt(np.maximum(spread, 1e-12))


def heart_overlap(
    train: Encoded, test: Encoded, train_masks: NDArray[np.uint8], test_masks: NDArray[np.uint8]
) -> Values:
    """Intersection over union ``[M]`` of a linear read-out of the heart from patch tokens.

    Every token answers the pixels of its own patch through one ridge that all patches share.
    """
    inputs, targets = _rows(train.tokens), _patches(train_masks, train.tokens.shape[1])
    gram = inputs.T @ inputs + TOKEN_RIDGE * np.eye(inputs.shape[1])
    weight = np.linalg.solve(gram, inputs.T @ targets)
    predicted = (_rows(test.tokens) @ weight > 0.5).reshape(len(test_masks), -1)
    truth = _patches(test_masks, test.tokens.shape[1]).reshape(len(test_masks), -1) > 0.5
    union = (predicted | truth).sum(axis=1)
    return np.asarray((predicted & truth).sum(axis=1) / np.maximum(union, 1))


def resampled(masks: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Masks ``[N, S, S]`` at another side, the nearest pixel each."""
    nearest = ((np.arange(side) + 0.5) * masks.shape[1] / side).astype(np.int64)
    return masks[:, nearest][:, :, nearest]


def _rows(tokens: NDArray[np.float32]) -> Values:
    flat = tokens.reshape(-1, tokens.shape[2]).astype(np.float64)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def _patches(masks: NDArray[np.uint8], count: int) -> Values:
    """Heart masks ``[N, S, S]`` as rows of pixels, patch by patch: ``[N * T, P * P]``."""
    films, side, _ = masks.shape
    grid = round(count**0.5)
    cut = (masks == HEART).reshape(films, grid, side // grid, grid, side // grid)
    return np.asarray(cut.transpose(0, 1, 3, 2, 4).reshape(films * count, -1), dtype=np.float64)
