"""Embeddings of films by a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.atomic import save_array
from pacx_training.cohorts.file_digests import FileDigests
from pacx_training.cohorts.images import prepared
from pacx_training.encoder import VisionTransformer
from pacx_training.progress import tracked
from pacx_training.resuming import digest
from pacx_training.runs import RunDirectory, default_device

BATCH = 32


def embeddings_of(
    run: RunDirectory, paths: Sequence[Path], cache: Path | None = None
) -> NDArray[np.float32]:
    """The CLS embedding of every film by a run's encoder, in order.

    Args:
        run: Of the encoder.
        paths: Files of radiographs.
        cache: Folder where embeddings are kept by the weights of the encoder and by what the
            files hold, wherever they lie.

    Returns:
        float32 ``[N, D]``.

    Raises:
        CohortError: A film cannot be read; names its file.
    """
    if cache is None:
        return embed_films(run.load_encoder().to(default_device()), paths)
    path = cache / f"{encoded_digest(run, paths, cache)}.npy"
    if not path.is_file():
        save_array(path, embed_films(run.load_encoder().to(default_device()), paths))
    found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return found


def encoded_digest(run: RunDirectory, paths: Sequence[Path], cache: Path) -> str:
    """Short hash of an encoder's weights and of the content of files that it is asked about.

    Args:
        run: Of the encoder.
        paths: Of any files.
        cache: Folder that remembers which files were hashed before.
    """
    contents = FileDigests(cache / "films.digests").of(paths)
    return digest(text.encode() for text in (run.encoder_digest, *contents))


def embed_films(encoder: VisionTransformer, paths: Sequence[Path]) -> NDArray[np.float32]:
    """The CLS embedding of every film, in order.

    Args:
        encoder: In evaluation mode, on any device.
        paths: Files of radiographs.

    Returns:
        float32 ``[N, D]``.

    Raises:
        CohortError: A film cannot be read; names its file.
    """
    spec = PreprocessingSpec(size=encoder.config.image_size)
    pictures = tracked(prepared(paths, spec), "embedding films", len(paths))
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
