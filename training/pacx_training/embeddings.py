"""Embeddings of films by a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.cohorts.images import prepared
from pacx_training.encoder import VisionTransformer

BATCH = 32


def embed_films(encoder: VisionTransformer, paths: Sequence[Path]) -> NDArray[np.float32]:
    """The CLS embedding of every film, in order.

    Args:
        encoder: In evaluation mode, on any device.
        paths: Files of radiographs.

    Returns:
        float32 ``[N, D]``.
    """
    spec = PreprocessingSpec(size=encoder.config.image_size)
    pictures = prepared(paths, spec)
    batches = [_embed(encoder, normalise(batch, spec)) for batch in _batches(pictures)]
    return np.concatenate(batches)


def _batches(pictures: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    while batch := list(islice(pictures, BATCH)):
        yield np.stack(batch)


@torch.inference_mode()
def _embed(encoder: VisionTransformer, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    device = encoder.cls_token.device
    embedding: NDArray[np.float32] = encoder(torch.from_numpy(pixels).to(device)).cls.cpu().numpy()
    return embedding
