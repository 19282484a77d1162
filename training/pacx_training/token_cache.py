"""Tokens of many views of outlined films, computed once: the encoder is frozen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pacx.errors import CheckpointError
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.cohorts.randomisation import randomise
from pacx_training.encoder import VisionTransformer
from pacx_training.precision import arithmetic
from pacx_training.segmentation import AnatomyConfig, film_detail

BATCH = 16
PHANTOM = -1
"""Index of the film for every view of a phantom."""

_BILINEAR, _BOX = Image.Resampling.BILINEAR, Image.Resampling.BOX

View = tuple[int, OutlinedFilm]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TokenCache:
    """Views of films as a decoder sees them; the first are the films themselves, unchanged.

    Attributes:
        film: int ``[V]``, which film a view shows, or ``PHANTOM``.
        tokens: float16 ``[V, T, D]``.
        detail: float16 ``[V, 1, 2 side, 2 side]``, see :func:`film_detail`.
        masks: uint8 ``[V, 3, side, side]``, share of a pixel times 255.
    """

    film: NDArray[np.int64]
    tokens: Tensor
    detail: Tensor
    masks: Tensor

    def save(self, path: Path, key: str) -> None:
        """Write all views to one file; ``key`` says what they were made from."""
        tensors = {
            "film": torch.from_numpy(self.film),
            "tokens": self.tokens,
            "detail": self.detail,
            "masks": self.masks,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path, metadata={"key": key})

    @classmethod
    def load(cls, path: Path, key: str) -> TokenCache:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: Not such a file, or made from something else.
        """
        try:
            with safe_open(path, framework="pt") as stored:
                found = (stored.metadata() or {}).get("key")
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path.name} holds no tokens.") from error
        if found != key:
            raise CheckpointError(
                f"{path.name} was made with another encoder or recipe, or of other films or "
                "outlines: name another file, or remove this one."
            )
        return cls(
            film=tensors["film"].numpy(),
            tokens=tensors["tokens"],
            detail=tensors["detail"],
            masks=tensors["masks"],
        )

    def truth(self, rows: NDArray[np.intp]) -> Tensor:
        """Masks ``[K, 3, side, side]`` as shares in [0, 1]."""
        return self.masks[torch.from_numpy(rows)].float() / 255


def views(
    films: Sequence[OutlinedFilm], phantoms: Iterable[OutlinedFilm], count: int, seed: int
) -> Iterator[View]:
    """Every film as it is, then ``count`` randomised views of each, then one of every phantom."""
    generator = np.random.default_rng(seed)
    yield from enumerate(films)
    for _ in range(count):
        yield from ((index, randomise(film, generator)) for index, film in enumerate(films))
    yield from ((PHANTOM, randomise(phantom, generator)) for phantom in phantoms)


def cache_tokens(
    encoder: VisionTransformer, shown: Iterator[View], config: AnatomyConfig
) -> TokenCache:
    """Encode views, in order."""
    index: list[int] = []
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    while batch := list(islice(shown, BATCH)):
        index += [film for film, _ in batch]
        parts.append(_encode(encoder, [view for _, view in batch], config))
    tokens, detail, masks = (torch.cat(part) for part in zip(*parts, strict=True))
    return TokenCache(
        film=np.array(index),
        tokens=tokens,
        detail=detail,
        masks=masks,
    )


@torch.inference_mode()
def _encode(
    encoder: VisionTransformer, shown: Sequence[OutlinedFilm], config: AnatomyConfig
) -> tuple[Tensor, Tensor, Tensor]:
    device, size = encoder.cls_token.device, encoder.config.image_size
    pictures = np.stack([_resized(view.pixels, size) for view in shown])
    pixels = torch.from_numpy(normalise(pictures, PreprocessingSpec(size=size))).to(device)
    fast = arithmetic("auto") == "bf16"
    with torch.autocast(device.type, torch.bfloat16, enabled=fast):
        tokens = encoder(pixels).tokens
    shares = [[_resized(mask, config.side, _BOX) for mask in view.masks] for view in shown]
    levels = torch.from_numpy(np.round(np.clip(shares, 0, 1) * 255).astype(np.uint8))
    return tokens.half().cpu(), film_detail(pixels, config.side).half().cpu(), levels


def _resized(
    picture: NDArray[np.float32], side: int, resampling: Image.Resampling = _BILINEAR
) -> NDArray[np.float32]:
    resized = Image.fromarray(picture).resize((side, side), resampling)
    return np.asarray(resized, dtype=np.float32)
