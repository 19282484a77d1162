"""One evaluation: a benchmark, its subjects, and what every protocol needs of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import Field

from pacx_evaluation.benchmarks import Benchmark, Target
from pacx_evaluation.measurements import Frozen, Section
from pacx_evaluation.protocols.probes import (
    FindingScores,
    QuantityScores,
    score_finding,
    score_quantity,
)
from pacx_evaluation.statistics.bootstrap import Bootstrap
from pacx_evaluation.subjects import Encoder
from pacx_evaluation.subjects.encoder import Embeddings
from pacx_training.cohorts.outlines import OutlinedFilm
from pacx_training.finetuning import FineTuningRecipe
from pacx_training.segmentation import FittingRecipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entrant:
    """A subject with its embeddings float32 ``[N, D]`` of all films of the benchmark."""

    encoder: Encoder
    embeddings: Embeddings

    @property
    def name(self) -> str:
        """In tables and figures."""
        return self.encoder.identity.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawing:
    """A figure and the table that it is drawn from, and from nothing else.

    Attributes:
        name: Of its files.
        caption: Under the figure.
        data: The table; written as CSV.
        draw: The table as a picture.
    """

    name: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a protocol found, in numbers and pictures."""

    section: Section
    drawings: tuple[Drawing, ...] = ()


class TuningPlan(Frozen):
    """How encoders are fine-tuned."""

    learning_rates: tuple[float, ...] = Field((3e-5, 1e-4, 3e-4), min_length=1)
    seeds: int = Field(3, ge=1)
    recipe: FineTuningRecipe = FineTuningRecipe()


def tuning_plan(
    learning_rates: Sequence[float] | None = None, *, seeds: int = 3, epochs: float = 5
) -> TuningPlan:
    """A plan; without learning rates the usual ones are tried."""
    recipe = FineTuningRecipe(epochs=epochs)
    if not learning_rates:
        return TuningPlan(seeds=seeds, recipe=recipe)
    return TuningPlan(learning_rates=tuple(learning_rates), seeds=seeds, recipe=recipe)


def decoder_recipe(steps: int = 1000, seed: int = 0) -> FittingRecipe:
    """How decoders of masks are fitted."""
    return FittingRecipe(steps=steps, seed=seed)


TUNING, DECODER = tuning_plan(), decoder_recipe()


@dataclass(kw_only=True, eq=False)
class Study:
    """Shared by all protocols of one evaluation; scores are computed once.

    Attributes:
        benchmark: Films and questions.
        entrants: The subjects; the first is the baseline of comparisons.
        bootstrap: How intervals are resampled.
        seed: Of folds and subsets.
        subsets: Number of few-label subsets.
        films: Bound on the films that are encoded again by robustness, export parity and speed.
        outlined: Films with outlines of heart and lungs, for explanations and segmentation.
        overlays: Films that explanations show with their maps, at most.
        tuning: How encoders are fine-tuned.
        decoder: How decoders of masks are fitted.
    """

    benchmark: Benchmark
    entrants: Sequence[Entrant]
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    seed: int = 0
    subsets: int = 5
    films: int = 200
    outlined: Sequence[OutlinedFilm] = ()
    overlays: int = 6
    tuning: TuningPlan = TUNING
    decoder: FittingRecipe = DECODER
    _findings: dict[tuple[str, str], FindingScores] = field(default_factory=dict, init=False)
    _quantities: dict[tuple[str, str], QuantityScores] = field(default_factory=dict, init=False)

    @property
    def encoders(self) -> list[Encoder]:
        """The subjects without their embeddings."""
        return [entrant.encoder for entrant in self.entrants]

    def finding(self, entrant: Entrant, target: Target) -> FindingScores:
        """Scores of one subject for one finding."""
        key = entrant.name, target.name
        if key not in self._findings:
            self._findings[key] = score_finding(
                self.benchmark, entrant.embeddings, target, self.seed
            )
        return self._findings[key]

    def quantity(self, entrant: Entrant, target: Target) -> QuantityScores:
        """Predictions of one subject for one quantity."""
        key = entrant.name, target.name
        if key not in self._quantities:
            self._quantities[key] = score_quantity(
                self.benchmark, entrant.embeddings, target, self.seed
            )
        return self._quantities[key]

    def reported(self, entrant: Entrant) -> list[FindingScores]:
        """Scores of all findings that have enough films."""
        scores = [self.finding(entrant, target) for target in self.benchmark.findings]
        return [score for score in scores if score.reason is None]


def patient_count(patients: NDArray[np.str_]) -> int:
    """Number of different patients."""
    return len(set(patients.tolist()))
