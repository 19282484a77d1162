"""A teacher's run folder.

::

    RUN/
    ├── model.safetensors    its weights, float32
    ├── teacher.json         TeacherCard: which kind, its shape, whether it learnt from a simulation
    ├── features/            what it says of cohorts, cached
    └── provenance.json, recipe.yaml, environment.json, as every run folder
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError

from pacx.errors import CheckpointError
from pacx.manifest import Teacher
from pacx_training.atomic import write_atomically
from pacx_training.checkpoints import load_strictly, read_tensors
from pacx_training.runs import RunDirectory
from pacx_training.teachers.labs import LaboratoryTeacher, LaboratoryTeacherConfig
from pacx_training.teachers.net1d import Net1D, Net1DConfig

_CARD, _WEIGHTS = "teacher.json", "model.safetensors"


class TeacherCard(BaseModel):
    """What a teacher is; ``teacher.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: Literal["ecg", "labs"]
    simulated: bool
    network: LaboratoryTeacherConfig | Net1DConfig


def save_teacher(
    folder: Path, teacher: LaboratoryTeacher | Net1D, *, simulated: bool = False
) -> None:
    """Write a teacher's weights and card."""
    modality: Literal["ecg", "labs"] = "ecg" if isinstance(teacher, Net1D) else "labs"
    card = TeacherCard(modality=modality, simulated=simulated, network=teacher.config)
    tensors = {
        key: t.detach().cpu().float().contiguous() for key, t in teacher.state_dict().items()
    }
    write_atomically(folder / _CARD, card.model_dump_json(indent=2).encode() + b"\n")
    write_atomically(folder / _WEIGHTS, safetensors.torch.save(tensors))


def load_card(folder: Path) -> TeacherCard:
    """Read what a teacher is.

    Raises:
        CheckpointError: The folder holds no teacher.
    """
    try:
        return TeacherCard.model_validate_json((folder / _CARD).read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"The run folder holds no valid {_CARD}.") from error


def load_ecg_teacher(folder: Path) -> Net1D:
    """Read a teacher of electrocardiograms, frozen, in evaluation mode.

    Raises:
        CheckpointError: The folder holds none, or its files disagree.
    """
    network = load_card(folder).network
    if not isinstance(network, Net1DConfig):
        raise CheckpointError("The run folder holds no teacher of electrocardiograms.")
    teacher = Net1D(network)
    load_strictly(teacher, read_tensors(folder / _WEIGHTS))
    return teacher.requires_grad_(False).eval()


def load_labs_teacher(folder: Path) -> LaboratoryTeacher:
    """Read a teacher of laboratory values, frozen, in evaluation mode.

    Raises:
        CheckpointError: The folder holds none, or its files disagree.
    """
    network = load_card(folder).network
    if not isinstance(network, LaboratoryTeacherConfig):
        raise CheckpointError("The run folder holds no teacher of laboratory values.")
    teacher = LaboratoryTeacher(network)
    load_strictly(teacher, read_tensors(folder / _WEIGHTS))
    return teacher.requires_grad_(False).eval()


def teacher_digest(folder: Path) -> str:
    """SHA-256 of a teacher's weights."""
    return hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest()


def teacher_told(folder: Path) -> Teacher:
    """What the model card says of a teacher: its weights, and what they were made from.

    Raises:
        CheckpointError: The folder holds no teacher, or does not say where it comes from.
    """
    told = RunDirectory(folder).load_provenance()
    return Teacher(
        modality=load_card(folder).modality,
        sha256=teacher_digest(folder),
        initialisation=told.initialisation,
        sources=told.sources,
        steps=told.steps,
    )
