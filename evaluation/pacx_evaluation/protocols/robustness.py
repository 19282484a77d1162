"""How far scores drift when the same film is delivered in another way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pacx_evaluation.measurements import Measurement, Section, ends
from pacx_evaluation.protocols.perturbations import PERTURBATIONS
from pacx_evaluation.protocols.probes import FindingScores
from pacx_evaluation.protocols.sampling import (
    Rows,
    auroc_change,
    cosine_distances,
    reported_films,
    rescored,
)
from pacx_evaluation.protocols.study import Drawing, Entrant, Outcome, Study, patient_count
from pacx_evaluation.report.forest import bars
from pacx_evaluation.subjects.encoder import Embeddings, as_radiograph

NAME = "robustness"
REVERSED = "untouched, in reversed order"
ENCODED_AT_ONCE = 16
_LEAD = (
    "{films} reported films are changed and encoded again; the fitted probes stay as they are. "
    "Distances are taken from the untouched film: a lossless archive, another batch or another "
    "photometric interpretation should change nothing."
)


def run(study: Study) -> Outcome:
    """Measure every subject under every perturbation."""
    films = reported_films(study)
    rows = [row for entrant in study.entrants for row in _measure(study, entrant, films)]
    section = Section(
        name=NAME,
        title="Robustness",
        lead=_LEAD.format(films=len(films)),
        measurements=tuple(sorted(rows, key=lambda row: row.metric != "cosine_distance")),
    )
    frame = pd.DataFrame([r.model_dump() for r in rows if r.metric == "cosine_distance"])
    drawing = Drawing(
        name="robustness",
        caption="Mean cosine distance of the embedding from that of the untouched film.",
        data=frame,
        draw=bars,
    )
    return Outcome(section=section, drawings=(drawing,))


def _measure(study: Study, entrant: Entrant, films: Rows) -> Iterator[Measurement]:
    for condition, embeddings in _encoded_again(study, entrant, films):
        yield from _embedding_rows(study, entrant, films, condition, embeddings)
        for scores in study.reported(entrant):
            yield from _finding_rows(study, entrant, scores, films, condition, embeddings)


def _encoded_again(study: Study, entrant: Entrant, films: Rows) -> Iterator[tuple[str, Embeddings]]:
    paths = [study.benchmark.cohort.paths[row] for row in films.tolist()]
    yield REVERSED, entrant.encoder.embed(paths[::-1])[::-1]
    for condition, perturb in PERTURBATIONS.items():
        parts = [
            entrant.encoder.embed(
                [perturb(as_radiograph(path)) for path in paths[start : start + ENCODED_AT_ONCE]]
            )
            for start in range(0, len(paths), ENCODED_AT_ONCE)
        ]
        yield condition, np.concatenate(parts)


def _embedding_rows(
    study: Study, entrant: Entrant, films: Rows, condition: str, embeddings: Embeddings
) -> Iterator[Measurement]:
    distances = cosine_distances(embeddings, entrant.embeddings[films])
    found = {"cosine_distance": distances.mean(), "cosine_distance_worst": distances.max()}
    for metric, value in found.items():
        yield Measurement(
            subject=entrant.name,
            protocol=NAME,
            target="embedding",
            metric=metric,
            condition=condition,
            value=max(0.0, float(value)),
            films=len(films),
            patients=patient_count(study.benchmark.cohort.patients[films]),
        )


def _finding_rows(
    study: Study,
    entrant: Entrant,
    scores: FindingScores,
    films: Rows,
    condition: str,
    embeddings: Embeddings,
) -> Iterator[Measurement]:
    places, before, decided = rescored(scores, films, entrant.embeddings[films])
    if not len(places):  # none of the films that were drawn has a label
        return
    _, after, again = rescored(scores, films, embeddings)
    labels = study.benchmark.values(scores.target)[films[places]] > 0
    patients = study.benchmark.cohort.patients[films[places]]
    change, reason = auroc_change(study, labels, patients, before, after)
    moved = np.abs(after - before)
    found = {
        "probability_shift": float(moved.mean()),
        "probability_shift_worst": float(moved.max()),
        "flipped": float((decided != again).mean()),
    }
    shared = {
        "subject": entrant.name,
        "protocol": NAME,
        "target": scores.target.name,
        "condition": condition,
    }
    counts = {
        "films": len(places),
        "patients": patient_count(patients),
        "positives": int(labels.sum()),
    }
    for metric, value in found.items():
        yield Measurement(**shared, **counts, metric=metric, value=value)
    yield Measurement(
        **shared,
        **counts,
        metric="auroc_change",
        **ends(change),
        reason=reason,
    )
