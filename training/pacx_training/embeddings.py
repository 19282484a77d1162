"""Embeddings of films by a frozen encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.cohorts.images import prepared
from pacx_training.encoder import VisionTransformer
from pacx_training.runs import RunDirectory, default_device

BATCH = 32


def embeddings_of(
    run: RunDirectory, paths: Sequence[Path], cache: Path | None = None
) -> NDArray[np.float32]:
    """The CLS embedding of every film by a run's encoder, in order.

    Args:
        run: Of the encoder.
        paths: Files of radiographs, which do not change while their embeddings are cached.
        cache: Folder where embeddings are kept under a hash of encoder and paths.

    Returns:
        float32 ``[N, D]``.
    """
    path = None if cache is None else cache / f"{encoded_digest(run, paths)}.npy"
    if path is not None and path.is_file():
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return found
    made = embed_films(run.load_encoder().to(default_device()), paths)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made)
    return made


def encoded_digest(run: RunDirectory, paths: Iterable[Path]) -> str:
    """Short hash of an encoder's weights and of the paths of what it is asked about."""
    digest = hashlib.sha256((run.path / "model.safetensors").read_bytes())
    digest.update("\n".join(map(str, paths)).encode())
    return digest.hexdigest()[:16]


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
