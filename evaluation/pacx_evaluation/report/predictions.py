"""``predictions.parquet``: every score, with films and patients under names that mean nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pandas as pd

from pacx_evaluation.protocols.probes import FindingScores, QuantityScores
from pacx_evaluation.protocols.study import Entrant, Study

COLUMNS = (
    "subject", "target", "film", "patient", "kind", "label", "logit", "probability", "positive",
)  # fmt: skip
DIGEST_BYTES = 16


def predictions(study: Study) -> pd.DataFrame:
    """One row per subject, target and reported film.

    Film and patient are keyed hashes; the key is the hash of all films, so that only who has the
    films can tell which is which.
    """
    frames = [frame for entrant in study.entrants for frame in _frames(study, entrant)]
    return pd.concat(frames) if frames else pd.DataFrame(columns=list(COLUMNS))


def _frames(study: Study, entrant: Entrant) -> Iterator[pd.DataFrame]:
    for scores in study.reported(entrant):
        yield _named(study, entrant, scores).assign(
            kind="finding",
            label=scores.labels.astype(float),
            logit=scores.logits,
            probability=scores.probabilities,
            positive=pd.array(scores.decisions, dtype="boolean"),
        )
    for target in study.benchmark.quantities:
        found = study.quantity(entrant, target)
        if found.reason is None:
            yield _named(study, entrant, found).assign(
                kind="quantity",
                label=found.truth,
                logit=found.predicted,
                probability=float("nan"),
                positive=pd.array([pd.NA] * len(found.rows), dtype="boolean"),
            )


def _named(study: Study, entrant: Entrant, scores: FindingScores | QuantityScores) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": entrant.name,
            "target": scores.target.name,
            "film": [film_name(study, row) for row in scores.rows.tolist()],
            "patient": [_hashed(study, patient) for patient in scores.patients.tolist()],
        }
    )


def film_name(study: Study, row: int) -> str:
    """What the film at a place of the cohort is called in a report."""
    return _hashed(study, study.benchmark.digests[row])


def _hashed(study: Study, text: str) -> str:
    key = bytes.fromhex(study.benchmark.sha256)
    return hashlib.blake2b(text.encode(), key=key, digest_size=DIGEST_BYTES).hexdigest()
