"""``pacx train agglomerate``: one class token that tells what several encoders tell.

Distillation from several teachers at once (Ranzinger et al., AM-RADIO, CVPR 2024). Teachers are
encoders that take films of one size; of each one reading is taught, its class token or the mean of
its patches, with unit variance. The student's class token learns to tell all of them through one
linear map each, which is thrown away; its patches stay close to what they were. No label is read.

It is what heads need where stage 1 began from weights that were good already: masked autoencoding
teaches the patches and asks nothing of the class token, which forgets a part of what it told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pacx.errors import CheckpointError, CohortError, RecipeError
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.augmentation import resized_crop, whole_boxes
from pacx_training.cohorts.cache import CachedFilms, FilmCache
from pacx_training.cohorts.catalogue import Terms, read_cohort, source_of
from pacx_training.cohorts.manifest import Cohort
from pacx_training.distortion import DistortionSettings, distorted
from pacx_training.encoder import EncoderOutput, VisionTransformer
from pacx_training.loop import Batch, LoopRecipe, Stage, train
from pacx_training.lora import tune_last_blocks
from pacx_training.precision import arithmetic
from pacx_training.pretraining import Films, films_of
from pacx_training.provenance import record
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.resuming import claim
from pacx_training.runs import RunDirectory, default_device
from pacx_training.sampling import Draws
from pacx_training.student import FrozenFeatures

Reading = Literal["cls", "patches"]
Named = tuple[Path, Reading]
"""A run, and what of it is taught."""
MEASURED = 1024
"""Films, at most, that say how far readings vary and where the linear maps begin."""
BATCH = 32
RIDGE = 0.1
"""Regularisation of that beginning, a share of the variance that the class token has on average."""
AS_THEY_ARE = DistortionSettings(smallest_crop=1, gamma=0, local_contrast=0, distortion=0)
_USE = "what the class token tells"


class AgglomerationRecipe(RecipeSection):
    """Section ``agglomerate`` of a recipe."""

    last_blocks: int = Field(6, ge=1, description="Blocks that are trained.")
    patches_weight: float = Field(
        1.0, ge=0, description="Of the distance of patches from what they were."
    )
    film_size: int = Field(256, ge=16, description="Side of a cached film, before cropping.")
    augmentation: DistortionSettings = DistortionSettings()
    loop: LoopRecipe


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """One reading of a frozen encoder."""

    encoder: VisionTransformer
    reading: Reading

    @torch.no_grad()
    def tell(self, pixels: Tensor) -> Tensor:
        """Pixels ``[N, 3, S, S]``, normalised -> ``[N, D]``."""
        answer: EncoderOutput = self.encoder.to(pixels.device)(pixels)
        return (answer.cls if self.reading == "cls" else answer.tokens.mean(dim=1)).float()


class DistortedFilms:
    """Cached films, each with a variation of its own; the loop's source of batches."""

    def __init__(
        self,
        films: CachedFilms,
        weights: NDArray[np.float64],
        spec: PreprocessingSpec,
        augmentation: DistortionSettings,
    ) -> None:
        """Take films ``[N]`` with their weights."""
        self.films, self.weights = films, weights
        self.spec, self.augmentation = spec, augmentation

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Pixels float32 ``[n, 3, S, S]``, normalised."""
        varied = distorted(self._grey(indices), self.spec.size, self.augmentation, draws)
        return (torch.from_numpy(normalise(varied.numpy(), self.spec)),)

    def whole(self, indices: NDArray[np.int64]) -> Tensor:
        """The same without any variation."""
        boxes = torch.from_numpy(whole_boxes(len(indices)))
        whole = resized_crop(self._grey(indices), boxes, self.spec.size)
        return torch.from_numpy(normalise(whole.numpy(), self.spec))

    def some(self, most: int) -> NDArray[np.int64]:
        """As many films, drawn by their weights, each at most once."""
        drawn = np.random.default_rng(0).random(len(self.weights)) ** (
            1 / np.maximum(self.weights, 1e-12)
        )
        return np.argsort(-drawn)[: min(most, int((self.weights > 0).sum()))]

    def _grey(self, indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.films[indices]).float() / 255


class AgglomerationStep(nn.Module):
    """The training step: ask the teachers, and tell what they tell."""

    def __init__(
        self, encoder: VisionTransformer, teachers: Sequence[Taught], recipe: AgglomerationRecipe
    ) -> None:
        """Train ``encoder`` in place, from the block that the recipe says."""
        super().__init__()
        self._teachers, self._recipe = tuple(teachers), recipe
        self._before = FrozenFeatures(encoder, of="patches")
        self._frozen_blocks = max(0, encoder.config.depth - recipe.last_blocks)
        tune_last_blocks(encoder, recipe.last_blocks)
        self.encoder = encoder
        widths = [teacher.encoder.config.embed_dim for teacher in self._teachers]
        inputs = encoder.config.embed_dim
        self.maps = nn.ModuleList(nn.Linear(inputs, width) for width in widths)
        for number, width in enumerate(widths):
            self.register_buffer(f"mean_{number}", torch.zeros(width))
            self.register_buffer(f"deviation_{number}", torch.ones(width))

    @torch.no_grad()
    def begin(self, films: DistortedFilms) -> None:
        """Measure how readings vary, and start from the best linear maps.

        A map that began at random would first teach the class token to forget.
        """
        rows = films.some(MEASURED)
        readers = [Taught(self.encoder, "cls"), *self._teachers]
        answers = []
        for part in np.split(rows, range(BATCH, len(rows), BATCH)):
            pixels = films.whole(part).to(self.encoder.cls_token.device)
            with self._arithmetic():
                answers.append([reader.tell(pixels) for reader in readers])
        known, *told = (torch.cat(column) for column in zip(*answers, strict=True))
        for number, (linear, values) in enumerate(zip(self.maps, told, strict=True)):
            self.get_buffer(f"mean_{number}").copy_(values.mean(dim=0))
            self.get_buffer(f"deviation_{number}").copy_(values.std(dim=0).clamp(min=1e-6))
            linear.load_state_dict(_regression(known, self._standardised(number, values)))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Unexplained variance of every reading, and how far patches moved.

        Args:
            pixels: float ``[N, 3, S, S]``, normalised.
        """
        shared = self._frozen_blocks
        with torch.no_grad():
            tokens = self.encoder.start(self.encoder.embed(pixels), blocks=shared)
        features = self.encoder.finish(tokens, blocks=shared)
        parts = {"patches": self._before.distance(tokens, features, blocks=shared)}
        readings = []
        for number, (teacher, linear) in enumerate(zip(self._teachers, self.maps, strict=True)):
            told = self._standardised(number, teacher.tell(pixels))
            unexplained = (linear(features.cls).float() - told).square().mean()
            parts[f"{teacher.reading}_{number}"] = unexplained
            readings.append(unexplained)
        kept = self._recipe.patches_weight * parts["patches"]
        return {"loss": torch.stack(readings).mean() + kept, **parts}

    def _arithmetic(self) -> torch.autocast:
        device = self.encoder.cls_token.device.type
        kind = torch.bfloat16 if arithmetic(self._recipe.loop.precision) == "bf16" else None
        return torch.autocast(device, kind, enabled=kind is not None)

    def _standardised(self, number: int, told: Tensor) -> Tensor:
        mean, deviation = (self.get_buffer(f"{name}_{number}") for name in ("mean", "deviation"))
        return (told - mean) / deviation


def _regression(inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Weight and bias of the ridge regression of ``[N, D]`` on ``[N, E]``, whose mean is zero."""
    mean = inputs.mean(dim=0)
    centred = (inputs - mean).double()
    ridge = RIDGE * centred.square().sum() / centred.shape[1]
    gram = centred.T @ centred + ridge * torch.eye(
        len(mean), dtype=centred.dtype, device=mean.device
    )
    weight = torch.linalg.solve(gram, centred.T @ targets.double()).T.float()
    return {"weight": weight, "bias": -weight @ mean}


def agglomerate(
    recipe_name: str,
    encoder: Path,
    data: Sequence[Path],
    output: Path,
    *,
    class_tokens: Sequence[Path] = (),
    patches: Sequence[Path] = (),
    cache: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> None:
    """Teach one class token, or go on with it, and write a whole run.

    Splits ``train`` are learnt from, ``val`` is measured, ``test`` is untouched.

    Args:
        recipe_name: A recipe's name or path.
        encoder: Run whose encoder is the start; it is only read.
        data: Manifests or folders of films.
        output: Run folder to write.
        class_tokens: Runs whose class token is taught.
        patches: Runs of whose patches the mean is taught.
        cache: Folder of prepared films; ``film-cache`` beside the run where None.
        overrides: ``key=value`` on the recipe's section ``agglomerate``.

    Raises:
        RecipeError: The recipe is refused, or no teacher is named.
        CheckpointError: A run is invalid, or a teacher takes films of another size.
        CohortError: The films are.
    """
    recipe = read_section(recipe_name, "agglomerate", AgglomerationRecipe, overrides)
    start, run = RunDirectory(encoder), RunDirectory(output)
    named: list[Named] = [(path, "cls") for path in class_tokens]
    named += [(path, "patches") for path in patches]
    if not named:
        raise RecipeError("Name at least one run to learn from.")
    cohorts = [read_cohort(path) for path in data]
    training, validation = (films_of([c for c, _ in cohorts], name) for name in ("train", "val"))
    if not training.paths:
        raise CohortError("The cohorts hold no films of the split train.")
    folder = cache or output.parent / "film-cache"
    store = FilmCache(folder, PreprocessingSpec(size=recipe.film_size))
    inputs = {"cohort": training.digest(store), "encoder": start.encoder_digest}
    inputs |= {
        f"{reading} of teacher {number}": RunDirectory(path).encoder_digest
        for number, (path, reading) in enumerate(named, start=1)
    }
    teachers = _teachers(start, named)
    claim(run, "agglomerate", recipe, inputs, start=start)
    step = AgglomerationStep(start.load_encoder(), teachers, recipe)
    spec = PreprocessingSpec(size=step.encoder.config.image_size)

    def source(films: Films, augmentation: DistortionSettings) -> DistortedFilms:
        return DistortedFilms(store.films(films.paths), films.weights, spec, augmentation)

    learnt = source(training, recipe.augmentation)
    if not run.begun:
        step.to(default_device()).begin(learnt)
    stage = Stage(
        module=step,
        training=learnt,
        validation=source(validation, AS_THEY_ARE) if validation.paths else None,
        save=lambda run: run.save_encoder(step.encoder),
    )
    train(stage, recipe.loop, run)
    _record(run, recipe_name, start, named, cohorts)


def _teachers(start: RunDirectory, named: Sequence[Named]) -> list[Taught]:
    config, found = start.load_config(), []
    for path, reading in named:
        encoder = RunDirectory(path).load_encoder().requires_grad_(False)
        if encoder.config.image_size != config.image_size:
            raise CheckpointError("A teacher takes films of another size than the encoder.")
        found.append(Taught(encoder.to(default_device()), reading))
    return found


def _record(
    run: RunDirectory,
    recipe_name: str,
    start: RunDirectory,
    named: Sequence[Named],
    learnt: Sequence[tuple[Cohort, Terms]],
) -> None:
    """The story of the start, with what its teachers had learnt from."""
    told = start.load_provenance()
    taught = [RunDirectory(path).load_provenance() for path, _ in named]
    sources = [source for story in taught for source in story.sources]
    sources += [source_of(cohort.split("train"), terms, _USE) for cohort, terms in learnt]
    limitations = tuple(limit for story in taught for limit in story.limitations)
    step = f"pacx train agglomerate --recipe {recipe_name}"
    record(run, told, step, tuple(sources), limitations)
