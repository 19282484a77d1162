"""Whether a bundle's maps show what its logits depend on; needs neither outlines nor labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacx.explanations import Map, Question
from pacx_evaluation.faithfulness import (
    deletion_gain,
    infidelity_of,
    insertion_gain,
    sensitivity_of,
    similarity,
)
from pacx_evaluation.measurements import Measurement
from pacx_evaluation.protocols.maps import Explained, Method, blind
from pacx_evaluation.protocols.means import mean_over_films
from pacx_evaluation.protocols.study import Study
from pacx_evaluation.subjects.encoder import as_radiograph

FILMS = 10
"""At most: every map of every film takes some hundred forward passes."""


@dataclass(frozen=True, slots=True)
class FilmMeasure:
    """One number about one kind of map of one film."""

    method: str
    metric: str
    value: float


def measure_film(study: Study, model: Explained, place: int) -> Iterator[FilmMeasure]:
    """Measure every map of one film, each for the film's most probable finding.

    Args:
        study: Films and the seed.
        model: The bundle, and random weights.
        place: Of the film in the cohort.
    """
    film = as_radiograph(study.benchmark.cohort.paths[place])
    question = model.question(film, model.most_probable(film))
    for name, method in model.methods.items():
        grid = method(question)
        random = method(model.untrained(question))
        measured = _effects(question, grid, study.seed) | _sanity(question, method, grid, random)
        yield from (FilmMeasure(name, metric, value) for metric, value in measured.items())
    for name, grid in blind(question.grid):
        effects = _effects(question, grid, study.seed)
        yield from (FilmMeasure(name, metric, value) for metric, value in effects.items())


def faithfulness(
    study: Study,
    protocol: str,
    subject: str,
    measured: Sequence[Sequence[FilmMeasure]],
    patients: NDArray[np.str_],
) -> Iterator[Measurement]:
    """Average what was measured of films.

    Args:
        study: How intervals are resampled.
        protocol: That the rows belong to.
        subject: The bundle's name.
        measured: Of each film.
        patients: Of each film, ``[N]``.
    """
    found = [measure for film in measured for measure in film]
    for method, metric in dict.fromkeys((m.method, m.metric) for m in found):
        values = [m.value for m in found if (m.method, m.metric) == (method, metric)]
        yield mean_over_films(
            study,
            values,
            patients,
            protocol=protocol,
            subject=subject,
            target=method,
            metric=metric,
            undefined="undefined on every film",
        )


def _effects(question: Question, grid: Map, seed: int) -> dict[str, float]:
    return {
        "deletion_gain": deletion_gain(question, grid, seed=seed),
        "insertion_gain": insertion_gain(question, grid, seed=seed),
        "infidelity": infidelity_of(question, grid, seed=seed),
    }


def _sanity(question: Question, method: Method, grid: Map, random: Map) -> dict[str, float]:
    return {
        "randomisation_similarity": similarity(grid, random),
        "map_sensitivity": sensitivity_of(question, method),
    }
