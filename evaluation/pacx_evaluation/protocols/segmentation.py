"""Segmentation: what the patch tokens of a frozen encoder know about where things are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.masks import STRUCTURES, cleaned
from pacx.measures import cardiothoracic
from pacx.preprocessing import Geometry
from pacx_evaluation.measurements import Measurement, Section
from pacx_evaluation.protocols.decoding import FrozenTokens, Segmented
from pacx_evaluation.protocols.masked_films import FITTED_FILMS, MaskedFilms, masked_films, parts
from pacx_evaluation.protocols.means import mean_over_films
from pacx_evaluation.protocols.requirements import weights_of
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study
from pacx_evaluation.report.forest import forest
from pacx_evaluation.statistics.bootstrap import Values
from pacx_evaluation.statistics.overlap import hausdorff_95, intersection_over_union
from pacx_training.runs import default_device
from pacx_training.segmentation import dice

NAME = "segmentation"
_LEAD = (
    "The encoder is frozen; a light decoder (a convolution on the patch grid, one sub-pixel "
    "upsampling, two convolutions after it) is fitted on its patch tokens for {steps:,} steps with "
    "binary cross entropy and soft Dice. It sees nothing of the film but the tokens. {films} "
    "films, each predicted by a decoder that saw no film of its patient; every number is a mean "
    "over films, with an interval over patients."
)
_NOTES = (
    "Nothing is chosen: steps, rates and the threshold of one half are the same for every encoder "
    "and benchmark.",
    "Masks are compared on the encoder's input grid. Where mask and outline are both empty, Dice "
    "and intersection over union are 1; a Hausdorff distance needs both.",
    f"A decoder is fitted on {FITTED_FILMS:,} films at most, drawn by the seed.",
)
ALL = "all structures"

Found: TypeAlias = tuple[NDArray[np.str_], dict[str, Values]]
"""Patients ``[M]`` of the reported films, and by metric one value for each film and structure
``[M, C]``; the ratio's error is ``[M, 1]``."""


def run(study: Study) -> Outcome:
    """Fit decoders on every subject and measure them.

    Raises:
        SubjectError: A subject has no weights in torch.
        BenchmarkError: There are no masks, or too few patients.
    """
    films = masked_films(study)
    for entrant in study.entrants:
        weights_of(entrant.encoder, NAME)
    found = {entrant.name: _segment(study, entrant, films) for entrant in study.entrants}
    rows = [row for name in found for row in _measure(study, films, name, found)]
    reported, _ = next(iter(found.values()))
    section = Section(
        name=NAME,
        title="Segmentation",
        lead=_LEAD.format(steps=study.decoder.steps, films=len(reported)),
        measurements=tuple(rows),
        notes=_NOTES,
    )
    return Outcome(section=section, drawings=(_drawing(rows),))


def _segment(study: Study, entrant: Entrant, films: MaskedFilms) -> Found:
    weights = weights_of(entrant.encoder, NAME)
    encoder = weights.network().to(default_device())
    tokens = FrozenTokens(encoder=encoder, spec=weights.spec, films=films)
    patients, measured = [], []
    for fit, report in parts(films, study.seed):
        decoder = tokens.fit(fit, study.decoder)
        patients.append(films.patients[report])
        measured += [_compare(one, films) for one in tokens.segmented(decoder, report)]
    return np.concatenate(patients), {
        metric: np.array([one[metric] for one in measured]) for metric in measured[0]
    }


def _compare(film: Segmented, films: MaskedFilms) -> dict[str, Values]:
    masks, truth = film.masks, film.truth
    found = {
        "iou": intersection_over_union(masks, truth),
        "dice": dice(masks[np.newaxis], truth[np.newaxis])[0],
        "hausdorff_95": np.array([hausdorff_95(*pair) for pair in zip(masks, truth, strict=True)]),
    }
    if films.structures == STRUCTURES:
        ratios = [_ratio(cleaned(masks)), _ratio(truth)]
        found["cardiothoracic_error"] = np.array([abs(ratios[0] - ratios[1])])
    return found


def _ratio(masks: NDArray[np.bool_]) -> float:
    """The cardiothoracic ratio, which squashing leaves alone; NaN where there is none."""
    side = masks.shape[-1]
    measured = cardiothoracic(masks, Geometry(rows=side, columns=side, size=side))
    return float("nan") if measured is None else measured.ratio


def _measure(
    study: Study,
    films: MaskedFilms,
    subject: str,
    found: Mapping[str, Found],
) -> Iterator[Measurement]:
    patients, mine = found[subject]
    baseline, (_, first) = next(iter(found.items()))
    gain = {} if subject == baseline else {"dice_gain": mine["dice"] - first["dice"]}
    for metric, values in (mine | gain).items():
        for target, column in _columns(films, metric, values):
            yield mean_over_films(
                study,
                column,
                patients,
                protocol=NAME,
                subject=subject,
                target=target,
                metric=metric,
                undefined="mask or outline is empty on every film",
            )


def _columns(films: MaskedFilms, metric: str, values: Values) -> Iterator[tuple[str, Values]]:
    if metric == "cardiothoracic_error":
        yield "heart", values[:, 0]
        return
    if len(films.structures) > 1:
        yield ALL, values.mean(axis=1)
    for column, structure in enumerate(films.structures):
        yield structure.replace("_", " "), values[:, column]


def _drawing(rows: list[Measurement]) -> Drawing:
    frame = pd.DataFrame([row.model_dump() for row in rows if row.metric == "dice"])
    return Drawing(
        name="segmentation-dice",
        caption="Dice, mean over films, with 95 % intervals over patients.",
        data=frame,
        draw=forest,
    )
