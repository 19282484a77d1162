"""The adult films that stage 2 learns from, and who is held apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pacx.manifest import Source
from pacx_training.cohorts.catalogue import Terms
from pacx_training.cohorts.manifest import Cohort, read_folder
from pacx_training.cohorts.nih import FINDINGS, read_nih, source
from pacx_training.cohorts.splits import split_by_patient

HELD_APART_SHARE = 0.35
"""Of the patients outside NIH's ``val``: stage 2 never sees them, and they choose what ships."""
NORMALS = 2100
"""How many of the adult normals: as many as two cores read ten times in half an hour."""

NIH_WEIGHT = 3.0
"""Of NIH's own films in stage 1: the only ones of ill adults."""
WEIGHTS = {"nih_rsna_normals": 1.0, "hannover_labs": 1.0, "kermany": 0.2}
"""Of every other folder: children's films are a poor proxy for adults'."""
RADIOGRAPHS = Terms(
    name="NIH ChestX-ray14 train and normals of it, Hannover COVID-19, Kermany",
    licence="NIH Clinical Center: no restriction on use; RSNA: academic use; CC BY 3.0; CC BY 4.0",
    citation="Wang et al. 2017; Shih et al. 2019; Winther et al. 2020; Kermany et al. 2018",
)


def write_films(data: Path, path: Path, *, normals: int = NORMALS, seed: int = 0) -> None:
    """Write a manifest with the splits ``train``, ``val`` (held apart) and ``test`` (NIH ``val``).

    Args:
        data: Folder of ``radiographs``.
        path: CSV to write; the films' terms are written beside it.
        normals: Films of healthy adults to add, drawn at random. Their patients are not known:
            every film counts as its own patient.
        seed: Of that draw.
    """
    nih = read_nih(data / "nih")
    healthy = read_folder(data / "nih_rsna_normals")
    chosen = np.random.default_rng(seed).permutation(len(healthy))[:normals]
    healthy = healthy.select(np.isin(np.arange(len(healthy)), chosen))
    table = pd.concat([_labelled(nih), _normal(healthy)], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    terms = _terms(source(nih, ""))
    path.with_suffix(".json").write_text(terms.model_dump_json(indent=2) + "\n", "utf-8")


def write_radiographs(data: Path, path: Path) -> None:
    """Write a manifest of the films that stage 1 learns from, weighted; NIH ``val`` is not in it.

    Args:
        data: Folder of ``radiographs``.
        path: CSV to write; the films' terms are written beside it.
    """
    nih = read_nih(data / "nih")
    others = [(read_folder(data / name).paths, weight) for name, weight in WEIGHTS.items()]
    parts = [(nih.select(nih.splits == "train").paths, NIH_WEIGHT), *others]
    rows = [(film.resolve(), weight) for films, weight in parts for film in films]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["path", "weight"]).to_csv(path, index=False)
    path.with_suffix(".json").write_text(RADIOGRAPHS.model_dump_json(indent=2) + "\n", "utf-8")


def held_apart(patients: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether stage 2 never sees a patient, by a hash of the id, bool ``[N]``."""
    splits = split_by_patient(patients, val_share=HELD_APART_SHARE, test_share=0, salt="shipped")
    return np.asarray(splits == "val")


def _labelled(nih: Cohort) -> pd.DataFrame:
    table = pd.DataFrame(nih.labels, columns=list(nih.label_names))
    split = np.where(held_apart(nih.patients), "val", "train")
    table.insert(0, "split", np.where(nih.splits == "val", "test", split))
    table.insert(0, "patient", nih.patients)
    table.insert(0, "path", [str(film.resolve()) for film in nih.paths])
    return table


def _normal(films: Cohort) -> pd.DataFrame:
    """Films that radiologists called normal: no finding, everything else unknown."""
    table = pd.DataFrame(dict.fromkeys(FINDINGS, 0.0), index=range(len(films)))
    patients = np.array([f"normal-{_name(film)}" for film in films.paths], dtype=np.str_)
    table.insert(0, "split", np.where(held_apart(patients), "val", "train"))
    table.insert(0, "patient", patients)
    table.insert(0, "path", [str(film.resolve()) for film in films.paths])
    return table


def _name(film: Path) -> str:
    return hashlib.sha256(film.name.encode()).hexdigest()[:12]


def _terms(nih: Source) -> Terms:
    return Terms(
        name=f"{nih.name}, and adult normals of it as distributed with the RSNA challenge",
        licence=f"{nih.licence}; RSNA: academic use, cite",
        citation=f"{nih.citation}; Shih G et al. Augmenting the National Institutes of Health "
        "chest radiograph dataset with expert annotations of possible pneumonia. Radiology: "
        "Artificial Intelligence 2019",
    )
