"""Answers as design.md gives their shape."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = dict[str, object]

MODEL: Json = {
    "name": "pacx-small",
    "version": "1.0",
    "sha256": "a" * 64,
    "engine": "openvino",
    "precision": "bf16",
    "simulated_physiology": False,
}

PREDICTION: Json = {
    "request_id": "r-1",
    "model": MODEL,
    "image": {
        "rows": 1955,
        "columns": 1841,
        "modality": "CR",
        "view": "PA",
        "spacing_mm": None,
        "source": "dicom",
    },
    "findings": [
        {
            "label": "Effusion",
            "group": "radiology",
            "probability": 0.25,
            "threshold": 0.5,
            "positive": False,
            "calibrated": True,
            "simulated": False,
        },
        {
            "label": "Edema",
            "group": "physiology",
            "probability": 1,
            "threshold": 0.5,
            "positive": True,
            "calibrated": True,
            "simulated": False,
        },
    ],
    "anatomy": None,
    "quality": None,
    "embedding": [0.5, -0.25],
    "attention": {"method": "rollout", "grid": [[0.0, 1.0], [0.5, 0.5]]},
    "warnings": [{"code": "spacing_unknown", "message": "The spacing is not known."}],
    "timing_ms": {"decode": 4.0, "queue": 0.5, "inference": 20.0, "total": 25.0},
    "reference": "mine",
}

EXPLANATION: Json = {
    "request_id": "r-2",
    "model": MODEL,
    "method": "rollout",
    "target": None,
    "grid": [[0.0, 1.0], [0.5, 0.5]],
    "signed": False,
    "focus": {"heart": 0.2, "lungs": 0.7, "outside": None},
    "warnings": [],
}


def embeddings(*vectors: list[float] | Json, sha256: str = "a" * 64) -> Json:
    """The answer of ``POST /embeddings``; a dictionary stands for the problem of a bad file."""
    items: list[Json] = [
        {"index": index, "embedding": None, "error": vector, "warnings": []}
        if isinstance(vector, dict)
        else {"index": index, "embedding": vector, "warnings": []}
        for index, vector in enumerate(vectors)
    ]
    return {
        "request_id": "r-3",
        "model": MODEL | {"sha256": sha256},
        "pooling": "cls",
        "space": "encoder",
        "dimension": 2,
        "embeddings": items,
    }
