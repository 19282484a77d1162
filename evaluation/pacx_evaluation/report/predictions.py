"""``predictions.parquet``: every score, with films and patients under names that mean nothing."""

from __future__ import annotations

import hashlib

import pandas as pd

from pacx_evaluation.protocols.study import Study

COLUMNS = (
    "subject", "target", "kind", "film", "patient", "label", "logit", "probability", "positive",
)  # fmt: skip
DIGEST_BYTES = 16


def predictions(study: Study) -> pd.DataFrame:
    """One row per subject, target and reported film.

    Film and patient are keyed hashes; the key is the hash of all films, so that only who has the
    films can tell which is which.
    """
    frames = [_finding_rows(study, name) for name in range(len(study.entrants))] + [
        _quantity_rows(study, name) for name in range(len(study.entrants))
    ]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled) if filled else pd.DataFrame(columns=list(COLUMNS))


def _finding_rows(study: Study, place: int) -> pd.DataFrame:
    entrant = study.entrants[place]
    return _joined(
        [
            pd.DataFrame(
                {
                    "subject": entrant.name,
                    "target": scores.target.name,
                    "kind": "finding",
                    "film": [_film(study, row) for row in scores.rows.tolist()],
                    "patient": [_hashed(study, patient) for patient in scores.patients.tolist()],
                    "label": scores.labels.astype(float),
                    "logit": scores.logits,
                    "probability": scores.probabilities,
                    "positive": pd.array(scores.decisions, dtype="boolean"),
                }
            )
            for scores in study.reported(entrant)
        ]
    )


def _quantity_rows(study: Study, place: int) -> pd.DataFrame:
    entrant = study.entrants[place]
    found = [study.quantity(entrant, target) for target in study.benchmark.quantities]
    return _joined(
        [
            pd.DataFrame(
                {
                    "subject": entrant.name,
                    "target": scores.target.name,
                    "kind": "quantity",
                    "film": [_film(study, row) for row in scores.rows.tolist()],
                    "patient": [_hashed(study, patient) for patient in scores.patients.tolist()],
                    "label": scores.truth,
                    "logit": scores.predicted,
                    "probability": float("nan"),
                    "positive": pd.array([pd.NA] * len(scores.rows), dtype="boolean"),
                }
            )
            for scores in found
            if scores.reason is None
        ]
    )


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames) if frames else pd.DataFrame()


def _film(study: Study, row: int) -> str:
    return _hashed(study, study.benchmark.digests[row])


def _hashed(study: Study, text: str) -> str:
    key = bytes.fromhex(study.benchmark.sha256)
    return hashlib.blake2b(text.encode(), key=key, digest_size=DIGEST_BYTES).hexdigest()
