"""Whether a bundle's maps show what its logits depend on; needs neither outlines nor labels."""

from __future__ import annotations

from collections.abc import Iterator

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
from pacx_evaluation.protocols.sampling import Rows
from pacx_evaluation.protocols.study import Study
from pacx_evaluation.subjects.encoder import as_radiograph

FILMS = 10
"""At most: every map of every film takes some hundred forward passes."""


def faithfulness(
    study: Study, protocol: str, subject: str, model: Explained, films: Rows
) -> Iterator[Measurement]:
    """Measure every map of every film, each for the film's most probable finding.

    Args:
        study: Films, and how intervals are resampled.
        protocol: That the rows belong to.
        subject: The bundle's name.
        model: The bundle, and random weights.
        films: Places in the cohort.
    """
    found = [row for place in films.tolist() for row in _film(study, model, place)]
    patients = study.benchmark.cohort.patients[films]
    for method, metric in dict.fromkeys((method, metric) for method, metric, _ in found):
        values = [value for m, name, value in found if (m, name) == (method, metric)]
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


def _film(study: Study, model: Explained, place: int) -> Iterator[tuple[str, str, float]]:
    """Method, metric and value of one film."""
    film = as_radiograph(study.benchmark.cohort.paths[place])
    question = model.question(film, model.most_probable(film))
    for name, method in model.methods.items():
        grid = method(question)
        random = method(model.untrained(question))
        measured = _effects(question, grid, study.seed) | _sanity(question, method, grid, random)
        yield from ((name, metric, value) for metric, value in measured.items())
    for name, grid in blind(question.grid):
        effects = _effects(question, grid, study.seed)
        yield from ((name, metric, value) for metric, value in effects.items())


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
