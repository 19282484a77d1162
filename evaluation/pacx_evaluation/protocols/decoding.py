"""From patch tokens of a frozen encoder to masks: one light decoder for each subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_evaluation.protocols.design import Rows
from pacx_evaluation.protocols.masked_films import MaskedFilms
from pacx_training.encoder import VisionTransformer
from pacx_training.segmentation import AnatomyConfig, AnatomyDecoder, FittingRecipe, fit_decoder

BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmented:
    """One film as a decoder saw it; arrays bool ``[C, S, S]``."""

    masks: NDArray[np.bool_]
    truth: NDArray[np.bool_]


@dataclass(slots=True, kw_only=True, eq=False)
class FrozenTokens:
    """A frozen encoder and its tokens of the films that decoders are fitted on.

    Attributes:
        encoder: In evaluation mode.
        spec: How it wants its films.
        films: With masks.
    """

    encoder: VisionTransformer
    spec: PreprocessingSpec
    films: MaskedFilms
    _kept: dict[int, Tensor] = field(default_factory=dict)

    def fit(self, rows: Rows, recipe: FittingRecipe) -> AnatomyDecoder:
        """Fit a decoder that sees nothing but tokens."""
        shape = self.encoder.config
        config = AnatomyConfig(
            embed_dim=shape.embed_dim, grid=shape.grid, structures=len(self.films.structures)
        )
        missing = [row for row in rows.tolist() if row not in self._kept]
        for batch in _batches(missing):
            pixels = [self.films.read(row, self.spec)[0] for row in batch]
            self._kept.update(zip(batch, self._encoded(pixels), strict=True))
        tokens = torch.stack([self._kept[row] for row in rows.tolist()])
        truth = np.stack([self.films.read(row, self.spec)[1] for row in rows.tolist()])
        with torch.random.fork_rng():
            return fit_decoder(
                config, tokens, _nothing(config, len(rows)), _coarse(truth, config.side), recipe
            )

    @torch.no_grad()
    def segmented(self, decoder: AnatomyDecoder, rows: Rows) -> Iterator[Segmented]:
        """Masks and outlines of films, on the encoder's input grid."""
        size = self.spec.size
        for batch in _batches(rows.tolist()):
            read = [self.films.read(row, self.spec) for row in batch]
            known = [self._kept.get(row) for row in batch]
            fresh = self._encoded([pixels for pixels, _ in read]) if None in known else known
            tokens = torch.stack([tensor for tensor in fresh if tensor is not None]).float()
            logits = decoder(tokens, _nothing(decoder.config, len(batch)))
            masks = functional.interpolate(logits, (size, size), mode="bilinear") > 0
            for mask, (_, truth) in zip(masks.numpy(), read, strict=True):
                yield Segmented(masks=mask, truth=truth >= 0.5)

    @torch.no_grad()
    def _encoded(self, pictures: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Tokens of each film, float16 ``[T, D]``, on the CPU."""
        device = self.encoder.cls_token.device
        pixels = torch.from_numpy(normalise(np.stack(pictures), self.spec)).to(device)
        return list(self.encoder(pixels).tokens.half().cpu())


def _batches(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _nothing(config: AnatomyConfig, films: int) -> Tensor:
    """What the decoder is shown of the films themselves."""
    return torch.zeros(1, 1, 2 * config.side, 2 * config.side).expand(films, -1, -1, -1)


def _coarse(truth: NDArray[np.float32], side: int) -> Tensor:
    """Shares ``[N, C, S, S]`` as uint8 ``[N, C, side, side]``."""
    resized = [
        [
            np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.BOX))
            for mask in film
        ]
        for film in truth
    ]
    return torch.from_numpy(np.rint(np.clip(resized, 0, 1) * np.float32(255)).astype(np.uint8))
