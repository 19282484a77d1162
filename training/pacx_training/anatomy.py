"""``pacx train anatomy``: from an encoder's run and outlined films to a run with masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pacx.manifest import AnatomySpec, Source
from pacx_training.anatomy_files import save_anatomy
from pacx_training.anatomy_report import cross_validate
from pacx_training.atomic import write_atomically
from pacx_training.cohorts import outlines
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.provenance import extended
from pacx_training.recipes import RecipeSection, read_section, save_section
from pacx_training.resuming import digest
from pacx_training.runs import RunDirectory, default_device
from pacx_training.segmentation import (
    AnatomyConfig,
    AnatomyDecoder,
    FittingRecipe,
    fit_decoder,
)
from pacx_training.token_cache import TokenCache, cache_tokens, views

_LIMITATION = (
    "Heart and lungs were outlined by eye on {films} NIH films, not by radiologists; drawn the "
    "same way, films with expert masks reached a Dice of 0.918 (heart) and 0.963 (lungs)."
)
FIRST_PHANTOM = 1000
"""Seed of the first phantom; tests and reference vectors use smaller ones."""


class AnatomyRecipe(RecipeSection):
    """How a decoder of heart and lungs is trained; section ``anatomy`` of a recipe."""

    views: int = Field(16, ge=1, description="Randomised views of every outlined film.")
    phantoms: int = Field(500, ge=0, description="Phantom films with exact masks.")
    folds: int = Field(5, ge=2, description="Patient-grouped folds of the cross-validation.")
    width: int = Field(96, ge=1, description="Channels of the decoder on the patch grid.")
    fitting: FittingRecipe = FittingRecipe()
    seed: int = 0


def train_anatomy(
    recipe_name: str,
    encoder: Path,
    data: Path,
    images: Path,
    output: Path,
    overrides: tuple[str, ...] = (),
    *,
    cache: Path | None = None,
) -> AnatomySpec:
    """Cross-validate a decoder, then fit it on all films and add it to a run.

    Args:
        recipe_name: A recipe's name or path.
        encoder: Run folder with the frozen encoder; its files are copied to ``output``.
        data: ``outlines.json``.
        images: Folder of the films that it names.
        output: Run folder to write; may be ``encoder`` itself.
        overrides: ``key=value`` on the recipe's section ``anatomy``.
        cache: File of the films' tokens, which are most of the work; made where missing.

    Returns:
        The cross-validation, also kept in ``anatomy.json``.

    Raises:
        RecipeError: The recipe is refused.
        CheckpointError: The run folder is invalid.
        CohortError: Films or outlines are.
    """
    recipe = read_section(recipe_name, "anatomy", AnatomyRecipe, overrides)
    source, run = RunDirectory(encoder), RunDirectory(output)
    shape = source.load_config()
    films = outlines.read_outlines(data, images)
    config = AnatomyConfig(embed_dim=shape.embed_dim, grid=shape.grid, width=recipe.width)
    tokens = _tokens(source, films, config, recipe, cache)

    def fit(rows: NDArray[np.intp]) -> AnatomyDecoder:
        return _fit(config, tokens, rows, recipe)

    found = cross_validate(tokens, films, fit, folds=recipe.folds)
    decoder = fit(np.arange(len(tokens.film)))
    if output.resolve() != encoder.resolve():
        _copy(source, run)
    save_anatomy(run, decoder, found)
    _record(run, recipe_name, recipe, outlines.source(films))
    return found


def _tokens(
    source: RunDirectory,
    films: Sequence[OutlinedFilm],
    config: AnatomyConfig,
    recipe: AnatomyRecipe,
    path: Path | None,
) -> TokenCache:
    key = _key(source, config, recipe, films)
    if path is not None and path.is_file():
        return TokenCache.load(path, key)
    phantoms = outlines.phantom_films(range(FIRST_PHANTOM, FIRST_PHANTOM + recipe.phantoms))
    shown = views(films, phantoms, recipe.views, recipe.seed)
    encoder = source.load_encoder().to(default_device())
    tokens = cache_tokens(encoder, shown, config)
    if path is not None:
        tokens.save(path, key)
    return tokens


def _key(
    source: RunDirectory,
    config: AnatomyConfig,
    recipe: AnatomyRecipe,
    films: Sequence[OutlinedFilm],
) -> str:
    """What tokens depend on: the encoder's weights, films and outlines, views, resolution."""
    shown = digest(array.tobytes() for film in films for array in (film.pixels, film.masks))
    views = f"{recipe.views} {recipe.phantoms} {recipe.seed} {config.side}"
    return f"{source.encoder_digest} {shown} {views}"


def _fit(
    config: AnatomyConfig, cache: TokenCache, rows: NDArray[np.intp], recipe: AnatomyRecipe
) -> AnatomyDecoder:
    index = torch.from_numpy(rows)
    return fit_decoder(
        config, cache.tokens[index], cache.detail[index], cache.masks[index], recipe.fitting
    )


def _copy(source: RunDirectory, run: RunDirectory) -> None:
    """Take over encoder, heads and records, but none of the folders, which hold checkpoints."""
    for path in source.path.iterdir():
        if path.is_file():
            write_atomically(run.path / path.name, path.read_bytes())


def _record(
    run: RunDirectory,
    recipe_name: str,
    recipe: AnatomyRecipe,
    source: Source,
) -> None:
    step = f"pacx train anatomy --recipe {recipe_name}"
    limitation = _LIMITATION.format(films=source.films)
    run.save_provenance(extended(run.load_provenance(), step, (source,), (limitation,)))
    save_section(run.recipe, "anatomy", recipe)
