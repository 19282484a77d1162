"""What frozen teachers say of a cohort's admissions, computed once and cached in their runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from pacx_training.atomic import write_atomically
from pacx_training.cohorts.symile_mimic import SymileSplit
from pacx_training.locks import locked
from pacx_training.progress import tracked
from pacx_training.runs import default_device
from pacx_training.teachers.filtering import filter_ecg
from pacx_training.teachers.net1d import Net1D
from pacx_training.teachers.signals import fingerprint
from pacx_training.teachers.storage import load_ecg_teacher, load_labs_teacher, teacher_digest

BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A teacher's embeddings of the admissions of a split.

    Attributes:
        embeddings: float32 ``[n, dimension]``; zeros where the modality is missing.
        present: bool ``[n]``.
    """

    embeddings: NDArray[np.float32]
    present: NDArray[np.bool_]

    @property
    def dimension(self) -> int:
        """Width of an embedding."""
        return int(self.embeddings.shape[1])


def ecg_features(folder: Path, split: SymileSplit) -> Features:
    """Embed the electrocardiograms of a split with the teacher of a run folder.

    Raises:
        CheckpointError: The folder holds no such teacher.
        CohortError: A record is damaged.
    """
    path = _cache_path(folder, split)
    known = _read(path)
    return _computed(path, folder, split) if known is None else known


@torch.inference_mode()
def labs_features(folder: Path, split: SymileSplit) -> Features:
    """Embed the laboratory values of a split with the teacher of a run folder.

    Raises:
        CheckpointError: The folder holds no such teacher.
    """
    teacher = load_labs_teacher(folder)
    percentiles, observed = (torch.from_numpy(x) for x in (split.percentiles, split.observed))
    embeddings = teacher.encode(percentiles, observed).numpy()
    present: NDArray[np.bool_] = np.asarray(split.observed.any(axis=1))
    return Features(embeddings * present[:, np.newaxis], present)


def _computed(path: Path, folder: Path, split: SymileSplit) -> Features:
    """Compute features and keep them, unless another process did so in the meantime."""
    with locked(path.parent / ".lock"):
        known = _read(path)
        if known is None:
            known = _embed_ecgs(load_ecg_teacher(folder).to(default_device()), split)
            _write(path, known)
    return known


@torch.inference_mode()
def _embed_ecgs(teacher: Net1D, split: SymileSplit) -> Features:
    embeddings = np.zeros((len(split), teacher.dimension), dtype=np.float32)
    device = next(teacher.parameters()).device
    present = np.zeros(len(split), dtype=np.bool_)
    rows = tracked(range(len(split)), f"embedding ECGs of {split.name}", len(split))
    while batch := list(islice(rows, BATCH)):
        records = {row: ecg for row in batch if (ecg := split.ecg(row)) is not None}
        if records:
            signals = np.stack([filter_ecg(ecg) for ecg in records.values()])
            answer = teacher(torch.from_numpy(signals).to(device))
            embeddings[list(records)] = answer.cpu().numpy()
            present[list(records)] = True
    return Features(embeddings, present)


def _cache_path(folder: Path, split: SymileSplit) -> Path:
    name = f"{split.name}-{fingerprint(split)}-{teacher_digest(folder)[:16]}"
    return folder / "features" / f"{name}.safetensors"


def _read(path: Path) -> Features | None:
    try:
        tensors = safetensors.numpy.load_file(path)
        return Features(tensors["embeddings"], tensors["present"])
    except (OSError, KeyError, SafetensorError):
        return None


def _write(path: Path, features: Features) -> None:
    tensors = {"embeddings": features.embeddings, "present": features.present}
    write_atomically(path, safetensors.numpy.save(tensors))
