"""How fast each kind of training goes, beside the straightforward loop, and what loading costs.

The straightforward loop computes in float32 and makes each batch when it needs it, stage 1 from
files that it decodes anew. The loop is the product's own, in bf16 where the processor has it. With
one batch that is handed out again and again it shows what the step alone costs. All are run in
turn, so that a busy machine slows all; a rate is that of the median step, and the best of several
rounds counts. On a machine that is busy with other things ``--clock cpu`` counts the processor's
time of this process instead.

    python -m benchmarks.train --architecture vit_small_patch16_224 --batch 32 --steps 8 --stage mae
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from pacx.preprocessing import PreprocessingSpec
from pacx_training.augmentation import draw_boxes
from pacx_training.cohorts.cache import FilmCache
from pacx_training.cohorts.phantom import phantom_radiograph
from pacx_training.cohorts.symile_mimic import SymileSplit
from pacx_training.distillation import PairedFilms
from pacx_training.distortion import DistortionSettings
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.loop import Batch, LoopRecipe, Source, Stage, train
from pacx_training.mae import DecoderConfig, MaskedAutoencoder
from pacx_training.pretraining import MaeRecipe, MaskedFilms, MaskedStep
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws, Rows
from pacx_training.student import Modality, ObjectiveSettings, Student, TuningSettings
from pacx_training.teachers.ecg import EcgRecipe, EcgSource, EcgStep
from pacx_training.teachers.features import Features
from pacx_training.teachers.labs import LaboratoryTeacher, LaboratoryTeacherConfig
from pacx_training.teachers.labs_training import LabsSource, LabsStep
from pacx_training.teachers.net1d import Net1D
from pacx_training.teachers.signals import Signals

FILM_PX = 1024
LABS_BATCH = 256
STAGES = ("mae", "distill", "labs", "ecg")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One kind of training.

    Attributes:
        name: Of the command.
        module: Makes the training step anew.
        source: Of the product's loop.
        plain_source: Of the straightforward loop.
        batch_size: Rows of a step.
        precision: Of the product's loop.
    """

    name: str
    module: Callable[[], nn.Module]
    source: Source
    plain_source: Source
    batch_size: int
    precision: str = "auto"


class SameBatch:
    """Hands out one batch for ever: a loader that costs nothing."""

    def __init__(self, source: Source, batch_size: int) -> None:
        self.weights = source.weights
        rows = Rows(start=0, stop=batch_size, total=batch_size)
        self._batch = source.batch(np.arange(batch_size), Draws.of_step(0, 0, rows))

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:  # noqa: ARG002
        """The batch, whatever was asked for."""
        return self._batch


class DecodedFilms:
    """Decodes, crops and resizes film by film with Pillow, every time."""

    def __init__(self, paths: list[Path], size: int, patches: int) -> None:
        self.weights = np.ones(len(paths))
        self._paths, self._size, self._patches = paths, size, patches

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Films uint8 ``[n, S, S]``, whole boxes ``[n, 4]`` and noise ``[n, T]``."""
        boxes = draw_boxes(draws, (0.5, 1.0))
        films = [self._film(index, box) for index, box in zip(indices, boxes, strict=True)]
        whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(len(films), 1)
        noise = torch.from_numpy(draws.uniform(self._patches))
        return torch.from_numpy(np.stack(films)), whole, noise

    def _film(self, index: np.int64, box: NDArray[np.float32]) -> NDArray[np.uint8]:
        with Image.open(self._paths[index]) as picture:
            top, left, height, width = (box * FILM_PX).tolist()
            corners = (left, top, min(left + width, FILM_PX), min(top + height, FILM_PX))
            size = (self._size, self._size)
            return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=corners))


def masked_autoencoding(architecture: str, batch_size: int, films: list[Path]) -> Contest:
    """Stage 1."""
    config, decoder = EncoderConfig.named(architecture), DecoderConfig(embed_dim=256, depth=4)
    loop = LoopRecipe(epochs=1, batch_size=batch_size, learning_rate=1e-4)
    recipe = MaeRecipe(architecture=architecture, decoder=decoder, loop=loop)
    cache = FilmCache(films[0].parent / "cache", PreprocessingSpec(size=recipe.film_size))
    weights = np.ones(len(films))
    cached = cache.films(films)
    return Contest(
        name="mae",
        module=lambda: MaskedStep(MaskedAutoencoder(VisionTransformer(config), decoder), recipe),
        source=MaskedFilms(cached, weights, recipe, patches=config.patches, augmented=True),
        plain_source=DecodedFilms(films, config.image_size, config.patches),
        batch_size=batch_size,
    )


def distilling(architecture: str, batch_size: int, split: SymileSplit) -> Contest:
    """Stage 2, with both teachers."""
    config, generator = EncoderConfig.named(architecture), np.random.default_rng(2)
    widths: dict[Modality, int] = {"ecg": 1024, "labs": 256}

    def features(width: int) -> Features:
        embeddings = generator.standard_normal((len(split), width), dtype=np.float32)
        return Features(embeddings, np.ones(len(split), np.bool_))

    teachers = {name: features(width) for name, width in widths.items()}
    source = PairedFilms(split, teachers, config.image_size, DistortionSettings())
    return Contest(
        name="distill",
        module=lambda: Student(
            VisionTransformer(config),
            widths,
            ObjectiveSettings(),
            TuningSettings(),
        ),
        source=source,
        plain_source=source,
        batch_size=batch_size,
    )


def teaching_labs() -> Contest:
    """The laboratory teacher in the paper's batches; it is too small to gain from bf16."""
    source = LabsSource(pairs(np.broadcast_to(np.float32(0), (3 * LABS_BATCH, 3, 320, 320))))
    return Contest(
        name="labs",
        module=lambda: LabsStep(LaboratoryTeacher(LaboratoryTeacherConfig()), 0.15),
        source=source,
        plain_source=source,
        batch_size=LABS_BATCH,
        precision="fp32",
    )


def teaching_ecg(batch_size: int, records: int) -> Contest:
    """The teacher of electrocardiograms."""
    loop = LoopRecipe(epochs=1, batch_size=batch_size, learning_rate=1e-3)
    recipe, generator = EcgRecipe(loop=loop), np.random.default_rng(3)
    signals = generator.standard_normal((records, 12, 5000), dtype=np.float32)
    source = EcgSource(Signals(signals.astype(np.float16), np.arange(records)), recipe)
    return Contest(
        name="ecg",
        module=lambda: EcgStep(Net1D(recipe.network), recipe),
        source=source,
        plain_source=source,
        batch_size=batch_size,
    )


def plain_rate(contest: Contest, steps: int, clock: Clock) -> float:
    """Rows per second of the straightforward loop."""
    module = contest.module()
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)
    marks = []
    for step in range(steps):
        marks.append(clock())
        rows = Rows(start=0, stop=contest.batch_size, total=contest.batch_size)
        indices = np.random.default_rng(step).permutation(len(contest.plain_source.weights))
        draws = Draws.of_step(0, step, rows)
        batch = contest.plain_source.batch(indices[: contest.batch_size], draws)
        optimiser.zero_grad()
        module(*batch)["loss"].backward()
        optimiser.step()
    return _rate(contest.batch_size, marks)


def loop_rate(contest: Contest, source: Source, steps: int, clock: Clock) -> float:
    """Rows per second of the product's loop, from one forward pass to the next."""
    marks: list[float] = []
    module = contest.module()
    module.register_forward_pre_hook(lambda *_: marks.append(clock()))
    recipe = LoopRecipe.model_validate(
        {
            "epochs": steps * contest.batch_size / len(source.weights),
            "batch_size": contest.batch_size,
            "learning_rate": 1e-4,
            "precision": contest.precision,
            "checkpoint_minutes": 1e6,
            "log_steps": steps,
        }
    )
    with TemporaryDirectory() as folder:
        train(
            Stage(module=module, training=source, save=lambda _: None),
            recipe,
            RunDirectory(Path(folder)),
        )
    return _rate(contest.batch_size, marks)


def _rate(rows: int, marks: list[float]) -> float:
    intervals = np.diff(marks)[1:]  # the first step warms up
    return rows / float(np.median(intervals))


def measured(contest: Contest, steps: int, rounds: int, clock: Clock) -> tuple[float, float, float]:
    """Best rates of the straightforward loop, the product's, and its step alone."""
    same = SameBatch(contest.source, contest.batch_size)
    taken = [
        (
            plain_rate(contest, steps, clock),
            loop_rate(contest, contest.source, steps, clock),
            loop_rate(contest, same, steps, clock),
        )
        for _ in range(rounds)
    ]
    plain, loop, step = (max(rates) for rates in zip(*taken, strict=True))
    return plain, loop, step


def write_films(folder: Path, count: int) -> list[Path]:
    """Phantoms as PNG of ChestX-ray14's size; few are drawn, all are files of their own."""
    drawn = [phantom_radiograph(seed, size=FILM_PX).pixels for seed in range(8)]
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        pixels = np.roll(drawn[index % len(drawn)], index, axis=1)
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)
    return paths


def mapped_films(folder: Path, count: int) -> NDArray[np.float32]:
    """Random films in Symile's shape, mapped from the disk as the real ones are."""
    path = folder / "films.npy"
    np.save(path, np.random.default_rng(1).standard_normal((count, 3, 320, 320), np.float32))
    films: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return films


def pairs(films: NDArray[np.float32]) -> SymileSplit:
    """Films ``[n, 3, 320, 320]`` with random laboratory values."""
    count, generator = len(films), np.random.default_rng(4)
    return SymileSplit(
        name="train",
        films=films,
        ecgs=np.broadcast_to(np.float32(0), (count, 1, 5000, 12)),
        percentiles=generator.random((count, 50), dtype=np.float32),
        observed=generator.random((count, 50)) < 0.7,
        admissions=np.arange(count),
        patients=np.arange(count),
        rows=np.arange(count),
    )


def contests(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Contest]]:
    """All kinds of training, each made ready when it is called."""
    architecture, batch, count = options.architecture, options.batch, 3 * options.batch
    return {
        "mae": lambda: masked_autoencoding(architecture, batch, write_films(folder, count)),
        "distill": lambda: distilling(architecture, batch, pairs(mapped_films(folder, count))),
        "labs": teaching_labs,
        "ecg": lambda: teaching_ecg(batch, count),
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--architecture", default="vit_small_patch16_224")
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments.add_argument("--stage", action="append", choices=STAGES, help="All by default.")
    options = arguments.parse_args()
    clock = CLOCKS[options.clock]
    threads = torch.get_num_threads()
    print(f"{options.clock} clock, {threads} threads, {options.architecture}, {options.batch} rows")
    print("             plain fp32   loop    ratio   step alone   loop / step alone")
    with TemporaryDirectory() as folder:
        kinds = contests(options, Path(folder))
        for stage in options.stage or STAGES:
            contest = kinds[stage]()
            plain, loop, step = measured(contest, options.steps, options.rounds, clock)
            print(
                f"{contest.name:10} {plain:10.1f}/s {loop:8.1f}/s {loop / plain:6.2f} x"
                f" {step:10.1f}/s {loop / step:12.3f}"
            )


if __name__ == "__main__":
    main()
