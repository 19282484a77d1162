"""Where a bundle's maps lie, against chance, and whether they show what its answers depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.explanations import Map
from pacx.masks import Mask
from pacx.measures import silhouette_focus
from pacx.radiograph import Radiograph
from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.protocols.faithful import FILMS, FilmMeasure, faithfulness, measure_film
from pacx_evaluation.protocols.maps import Explained, blind, explained
from pacx_evaluation.protocols.means import mean_over_films
from pacx_evaluation.protocols.overlays import overlays, shown_method
from pacx_evaluation.protocols.requirements import bundles_among
from pacx_evaluation.protocols.sampling import reported_films
from pacx_evaluation.protocols.study import Drawing, Outcome, Study
from pacx_evaluation.report.forest import forest
from pacx_training.cohorts.outlines import OutlinedFilm

NAME = "explanations"
REGIONS = ("heart", "lungs", "outside")
_FOCUS = (
    "Silhouette focus is the share of a map's mass inside a structure, divided by the structure's "
    "share of the picture: 1 is chance. It is measured on {films} films whose hearts and lungs "
    "were outlined without any model. Pointing is the share of films whose strongest cell lies in "
    "the heart. Outside the thorax a model has nothing to look for. "
)
_FAITHFUL = (
    "Faithfulness is measured on {films} reported films, each for the finding that the bundle "
    "thinks most probable there: the area that hiding (deletion) or showing (insertion) the map's "
    "strongest cells first gains over random order, in logits; infidelity, of which 0 is perfect "
    "and 1 what an empty map reaches; the rank correlation with the map of random encoder weights; "
    "and the largest relative change of the map when grey levels move by 2 %."
)
_NOTES = (
    "Rollout and last-layer attention are the same for every finding. Maps that know nothing of "
    "the film stand among the rows: what does not differ from them explains nothing.",
    "A map that hardly changes with random weights does not show what was learnt.",
    "Whether a bundle was trained on the outlined films or with their outlines is in its "
    "provenance, not here.",
)
FOCUS_CAPTION = (
    "Silhouette focus: mass in the heart against the heart's share of the picture; the dashed line "
    "is chance."
)
DELETION_CAPTION = (
    "How much faster the logit falls when the map's strongest cells are hidden first than in "
    "random order; on the dashed line a map says nothing."
)
NO_OUTLINES = "No film with outlines was given (--outlines), so that focus is not measured."


def run(study: Study) -> Outcome:
    """Measure the maps of every bundle among the subjects.

    Raises:
        SubjectError: No subject is a bundle.
    """
    bundles = bundles_among(study.encoders, NAME)
    outlined, reported = study.outlined[: study.films], reported_films(study)
    films = np.sort(np.random.default_rng(study.seed).permutation(reported)[:FILMS])
    rows: list[Measurement] = []
    pictures: list[Drawing] = []
    for name, bundle in bundles.items():
        model = explained(bundle, study.seed)
        if outlined:
            rows += _focused(study, name, model, outlined)
        measured = [list(measure_film(study, model, place)) for place in films.tolist()]
        patients = study.benchmark.cohort.patients[films]
        rows += faithfulness(study, NAME, name, measured, patients)
        if (picture := overlays(study, name, model, films, _gains(model, measured))) is not None:
            pictures.append(picture)
    focus = _FOCUS.format(films=len(outlined)) if outlined else ""
    section = Section(
        name=NAME,
        title="Explanations",
        lead=focus + _FAITHFUL.format(films=len(films)),
        measurements=tuple(rows),
        notes=_NOTES if outlined else (*_NOTES, NO_OUTLINES),
    )
    return Outcome(section=section, drawings=(*_drawings(rows), *pictures))


def _gains(model: Explained, measured: Sequence[Sequence[FilmMeasure]]) -> list[float]:
    """Deletion gain of the map that overlays show, film by film."""
    shown = shown_method(model), "deletion_gain"
    return [next(m.value for m in film if (m.method, m.metric) == shown) for film in measured]


def _focused(
    study: Study, subject: str, model: Explained, films: Sequence[OutlinedFilm]
) -> Iterator[Measurement]:
    masks = [film.masks_on(model.model.spec.size) for film in films]
    patients = np.array([film.patient for film in films], dtype=np.str_)
    for method, maps in _maps(model, films).items():
        for region in REGIONS:
            values = [_focus(grid, mask, region) for grid, mask in zip(maps, masks, strict=True)]
            yield _row(study, subject, method, f"focus_{region}", values, patients)
        hits = [_points_at(grid, mask[0]) for grid, mask in zip(maps, masks, strict=True)]
        yield _row(study, subject, method, "pointing_heart", hits, patients)


def _maps(model: Explained, films: Sequence[OutlinedFilm]) -> Mapping[str, Sequence[Map]]:
    """A map ``[grid, grid]`` of each film by method, models first, then what knows nothing."""
    radiographs = [Radiograph.from_array(np.clip(film.pixels, 0, 1)) for film in films]
    labels = [finding.label for finding in model.model.manifest.findings]
    asked = [model.question(film, labels[0]) for film in radiographs]
    maps: dict[str, Sequence[Map]] = {}
    for name, method in model.methods.items():
        if name != "relevance":
            maps[name] = [method(question) for question in asked]
            continue
        for label in labels:
            about = [model.question(film, label) for film in radiographs]
            maps[f"{name} of {label}"] = [method(question) for question in about]
    rollout = model.methods["rollout"]
    maps["rollout, random weights"] = [rollout(model.untrained(question)) for question in asked]
    return maps | {name: [grid] * len(films) for name, grid in blind(asked[0].grid)}


def _focus(grid: Map, masks: Mask, region: str) -> float:
    value = getattr(silhouette_focus(grid, masks), region)
    return float("nan") if value is None else float(value)


def _points_at(grid: Map, mask: Mask) -> float:
    """Whether the centre of the strongest cell lies inside."""
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    side = mask.shape[0]
    centre = int((row + 0.5) * side / grid.shape[0]), int((column + 0.5) * side / grid.shape[1])
    return float(mask[centre])


def _row(
    study: Study,
    subject: str,
    method: str,
    metric: str,
    values: Sequence[float],
    patients: NDArray[np.str_],
) -> Measurement:
    return mean_over_films(
        study,
        values,
        patients,
        protocol=NAME,
        subject=subject,
        target=method,
        metric=metric,
        undefined="the structure or the map is empty on every film",
    )


def _drawings(rows: Sequence[Measurement]) -> Iterator[Drawing]:
    for name, metric, caption in (
        ("silhouette-focus", "focus_heart", FOCUS_CAPTION),
        ("deletion-gain", "deletion_gain", DELETION_CAPTION),
    ):
        measured = [r.model_dump() for r in rows if r.metric == metric and r.value is not None]
        if measured:
            yield Drawing(name=name, caption=caption, data=pd.DataFrame(measured), draw=forest)
