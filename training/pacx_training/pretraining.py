"""``pacx train mae``: stage 1, from films to an encoder that can fill in most of a chest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from pacx.errors import CohortError, RecipeError
from pacx.preprocessing import PreprocessingSpec
from pacx_training.augmentation import draw_boxes, resized_crop, whole_boxes
from pacx_training.cohorts.cache import CachedFilms, FilmCache
from pacx_training.cohorts.catalogue import read_cohort, source_of
from pacx_training.cohorts.manifest import Cohort
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.loop import Batch, LoopRecipe, Stage, train
from pacx_training.mae import DecoderConfig, MaskedAutoencoder, patch_scale, patchify, unpatchify
from pacx_training.provenance import UNTRAINED, record
from pacx_training.recipes import RecipeSection, read_section, said_of
from pacx_training.resuming import claim, digest
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws, Rows

SHOWN = 4
"""Films whose reconstruction is shown in the logs."""

_USE = "stage 1: the encoder"

Share = Annotated[float, Field(gt=0, le=1)]


class MaeRecipe(RecipeSection):
    """Stage 1; section ``mae`` of a recipe."""

    architecture: str = Field("vit_base_patch16_224", description="As timm names it.")
    position_embedding: Literal["sincos", "learned"] = "sincos"
    decoder: DecoderConfig = DecoderConfig()
    mask_ratio: float = Field(0.9, gt=0, lt=1, description="Share of the patches that is hidden.")
    norm_pix_loss: bool = Field(False, description="Standardise every target patch.")
    crop_scale: tuple[Share, Share] = Field(
        (0.5, 1.0), description="Area of a random crop, least and greatest, of the film's."
    )
    flip_probability: float = Field(
        0.0, ge=0, le=1, description="A flipped chest is dextrocardia, hence none by default."
    )
    film_size: int = Field(256, ge=16, description="Side of a cached film, before cropping.")
    loop: LoopRecipe

    @model_validator(mode="after")
    def _least_first(self) -> MaeRecipe:
        if self.crop_scale[0] > self.crop_scale[1]:
            raise ValueError("crop_scale has its least share first")
        return self


class MaskedFilms:
    """Cached films with a crop and a mask for each; the loop's source of batches."""

    def __init__(
        self,
        films: CachedFilms,
        weights: NDArray[np.float64],
        recipe: MaeRecipe,
        *,
        patches: int,
        augmented: bool,
    ) -> None:
        """Take films ``[N]`` with their weights; without augmentation they are not cropped."""
        self.films, self.weights, self.recipe = films, weights, recipe
        self.patches, self.augmented = patches, augmented

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Films uint8 ``[n, F, F]``, boxes ``[n, 4]`` and noise ``[n, T]``."""
        noise = draws.uniform(self.patches)
        pictures, boxes = self.films[indices], whole_boxes(len(indices))
        if self.augmented:
            boxes = draw_boxes(draws, self.recipe.crop_scale)
            flipped = draws.uniform() < self.recipe.flip_probability
            pictures[flipped] = pictures[flipped, :, ::-1]
        return torch.from_numpy(pictures), torch.from_numpy(boxes), torch.from_numpy(noise)


class MaskedStep(nn.Module):
    """The training step: crop, normalise, hide, reconstruct."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: MaskedAutoencoder, recipe: MaeRecipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        spec = PreprocessingSpec()
        for name, values in (("mean", spec.mean), ("std", spec.std)):
            column = torch.tensor(values).reshape(1, 3, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def pixels(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        """Films uint8 ``[N, F, F]`` -> ``pixel_values`` float32 ``[N, 3, S, S]``."""
        size = self.model.encoder.config.image_size
        with torch.autocast(pictures.device.type, enabled=False):
            grey = resized_crop(pictures, boxes, size) / 255
            return (grey[:, None] - self.mean) / self.std

    def forward(self, pictures: Tensor, boxes: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The loss of one batch of :class:`MaskedFilms`."""
        options = {"norm_pix_loss": self.recipe.norm_pix_loss}
        pixels = self.pixels(pictures, boxes)
        answer = self.model(pixels, noise, mask_ratio=self.recipe.mask_ratio, **options)
        return {"loss": answer.loss}

    @torch.no_grad()
    def reconstructions(self, pictures: Tensor, boxes: Tensor, noise: Tensor) -> Tensor:
        """Film, visible patches and reconstruction side by side, ``[N * S, 3 * S]`` in [0, 1]."""
        pixels = self.pixels(pictures, boxes)
        answer = self.model(pixels, noise, mask_ratio=self.recipe.mask_ratio)
        patch_size, predicted = self.model.encoder.config.patch_size, answer.predicted
        if self.recipe.norm_pix_loss:  # what is predicted has each patch's own mean and scale
            mean, deviation = patch_scale(patchify(pixels, patch_size))
            predicted = predicted * deviation + mean
        hidden = answer.mask[:, :, None].expand_as(predicted)
        hidden, predicted = unpatchify(hidden, patch_size), unpatchify(predicted, patch_size)
        filled = pixels * (1 - hidden) + predicted * hidden
        panels = torch.cat([pixels, pixels * (1 - hidden), filled], dim=3)
        return (panels * self.std + self.mean).mean(dim=1).clamp(0, 1).flatten(0, 1).cpu()


class Films(NamedTuple):
    """The films of all cohorts of a stage, one split of them.

    Attributes:
        paths: Their files.
        weights: How often each is drawn, float64 ``[N]``.
    """

    paths: tuple[Path, ...]
    weights: NDArray[np.float64]

    def digest(self, cache: FilmCache) -> str:
        """Changes with what the files hold, their order or their weights."""
        contents = (content.encode() for content in cache.digests(self.paths))
        return digest([*contents, self.weights.tobytes()])


def pretrain(
    recipe_name: str,
    data: Sequence[Path],
    output: Path,
    *,
    initialisation: Path | None = None,
    cache: Path | None = None,
    images: Path | None = None,
    patients: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> None:
    """Run stage 1, or go on with it, and write a whole run.

    Splits ``train`` are learnt from, ``val`` is measured after every epoch, ``test`` is untouched.

    Args:
        recipe_name: A recipe's name or path.
        data: Manifests or folders of films.
        output: Run folder to write.
        initialisation: Run whose encoder is the start; random weights where None.
        cache: Folder of prepared films; ``film-cache`` beside the run where None.
        images: See :func:`read_cohort`, as for ``patients``.
        patients: Table of admissions and patients.
        overrides: ``key=value`` on the recipe's section ``mae``.

    Raises:
        RecipeError: The recipe is refused.
        CheckpointError: The initialisation or a snapshot is invalid.
        CohortError: The films are.
    """
    recipe, run = read_section(recipe_name, "mae", MaeRecipe, overrides), RunDirectory(output)
    start = RunDirectory(initialisation) if initialisation else None
    torch.manual_seed(recipe.loop.seed)
    step = MaskedStep(MaskedAutoencoder(_encoder(recipe, start), recipe.decoder), recipe)
    cohorts = [read_cohort(path, images=images, patients=patients) for path in data]
    training, validation = (films_of([c for c, _ in cohorts], name) for name in ("train", "val"))
    if not training.paths:
        raise CohortError("The cohorts hold no films of the split train.")
    folder = cache or output.parent / "film-cache"
    store = FilmCache(folder, PreprocessingSpec(size=recipe.film_size))
    inputs = {"cohort": training.digest(store)}
    if start is not None:
        inputs["initialisation"] = start.encoder_digest
    claim(run, "mae", recipe, inputs)
    told = start.load_provenance() if start else UNTRAINED
    used = tuple(source_of(cohort.split("train"), terms, _USE) for cohort, terms in cohorts)
    record(run, told, f"pacx train mae --recipe {recipe_name}", used)
    train(_stage(step, store, training, validation), recipe.loop, run)


def _encoder(recipe: MaeRecipe, start: RunDirectory | None) -> VisionTransformer:
    if start is None:
        try:
            config = EncoderConfig.named(recipe.architecture, recipe.position_embedding)
        except ValidationError as error:
            raise RecipeError(f"architecture: {said_of(error.errors()[0]['msg'])}.") from error
        except ValueError as error:
            raise RecipeError(f"architecture: {error}.") from error
        return VisionTransformer(config)
    encoder = start.load_encoder()
    if encoder.config.architecture != recipe.architecture:
        raise RecipeError("The initialisation has another architecture than the recipe.")
    return encoder


def films_of(cohorts: Sequence[Cohort], split: str) -> Films:
    """The films of one split of all cohorts, with their weights."""
    parts = [cohort.split(split) for cohort in cohorts]
    paths = tuple(path for part in parts for path in part.paths)
    return Films(paths, np.concatenate([part.weights for part in parts]))


def _stage(step: MaskedStep, cache: FilmCache, training: Films, validation: Films) -> Stage:
    encoder, recipe = step.model.encoder, step.recipe

    def source(films: Films, *, augmented: bool) -> MaskedFilms:
        cached, patches = cache.films(films.paths), encoder.config.patches
        return MaskedFilms(cached, films.weights, recipe, patches=patches, augmented=augmented)

    shown = source(validation if validation.paths else training, augmented=False)
    few = np.arange(min(SHOWN, len(shown.weights)))
    rows = Rows(start=0, stop=len(few), total=len(few))
    batch = shown.batch(few, Draws.of_step(recipe.loop.seed, 0, rows))

    def pictures() -> Mapping[str, Tensor]:
        device = step.mean.device
        return {"reconstruction": step.reconstructions(*(part.to(device) for part in batch))}

    return Stage(
        module=step,
        training=source(training, augmented=True),
        validation=source(validation, augmented=False) if validation.paths else None,
        save=lambda run: run.save_encoder(encoder),
        pictures=pictures,
    )
