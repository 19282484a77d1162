"""``pacx train distill``: stage 2, from an encoder and two teachers to one that knows physiology.

The run that it writes is an encoder's run as any other, ready for heads and export::

    RUN/
    ├── model.safetensors        the encoder with all updates fused, timm's keys
    ├── adapter.safetensors      the low-rank updates alone, PEFT's names (where LoRA was used)
    ├── projections.safetensors  the heads: cxr_to_shared.*, to_shared.<modality>.*,
    │                            cxr_to.<modality>.*, and log_scale
    ├── retention.json           how far the features of stage 1 moved
    └── ecg/, labs/              runs of the teachers, where none were named
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pacx.errors import RecipeError
from pacx.manifest import Teacher
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_training.atomic import write_atomically
from pacx_training.augmentation import resized_crop, whole_boxes
from pacx_training.cohorts.paired import PairedCohort, grey_films, read_paired
from pacx_training.cohorts.symile_mimic import Split, SymileSplit
from pacx_training.distortion import DistortionSettings, distorted
from pacx_training.loop import Batch, LoopRecipe, Stage, train
from pacx_training.lora import fused, save_adapter
from pacx_training.processes import is_main
from pacx_training.provenance import record
from pacx_training.recipes import RecipeSection, read_section
from pacx_training.resuming import claim
from pacx_training.retention import measure_retention
from pacx_training.runs import RunDirectory
from pacx_training.sampling import Draws
from pacx_training.student import MODALITIES, Modality, ObjectiveSettings, Student, TuningSettings
from pacx_training.teachers.features import Features, ecg_features, labs_features
from pacx_training.teachers.own import makers, teachers_of
from pacx_training.teachers.storage import teacher_told

Teachers = Mapping[Modality, Features]
_SIMULATED = "The encoder's physiology was distilled from simulated patients, not from real ones."
_TAUGHT = (
    "What taught the encoder physiology had learnt it from simulated patients, not from real ones."
)


class DistillationRecipe(RecipeSection):
    """Stage 2; section ``distill`` of a recipe."""

    ecg: bool = Field(True, description="Whether to learn from electrocardiograms.")
    labs: bool = Field(True, description="Whether to learn from laboratory values.")
    objective: ObjectiveSettings = ObjectiveSettings()
    tuning: TuningSettings = TuningSettings()
    augmentation: DistortionSettings = DistortionSettings()
    loop: LoopRecipe

    def modalities(self) -> tuple[Modality, ...]:
        """What it learns from.

        Raises:
            RecipeError: Nothing.
        """
        chosen = tuple(name for name in MODALITIES if getattr(self, name))
        if not chosen:
            raise RecipeError("Stage 2 needs ecg, labs or both.")
        return chosen


class PairedFilms:
    """Films of a split with what the teachers say of them; the loop's source of batches."""

    def __init__(
        self,
        split: SymileSplit,
        teachers: Teachers,
        size: int,
        augmentation: DistortionSettings | None,
    ) -> None:
        """Take a split; films that no teacher knows are never drawn."""
        self._split, self._size, self._augmentation = split, size, augmentation
        self._teachers = list(teachers.values())
        known = np.any([features.present for features in self._teachers], axis=0)
        self.weights = known.astype(np.float64)

    def batch(self, indices: NDArray[np.int64], draws: Draws) -> Batch:
        """Pixels, patients, and embedding and presence for each teacher, as Student wants them."""
        films = torch.from_numpy(grey_films(self._split, indices))
        if self._augmentation is None:
            grey = resized_crop(films, torch.from_numpy(whole_boxes(len(films))), self._size)
        else:
            grey = distorted(films, self._size, self._augmentation, draws)
        pixels = torch.from_numpy(normalise(grey.numpy(), PreprocessingSpec(size=self._size)))
        said = [
            torch.from_numpy(values[indices])
            for features in self._teachers
            for values in (features.embeddings, features.present)
        ]
        return pixels, torch.from_numpy(self._split.patients[indices]), *said


def distill(
    recipe_name: str,
    encoder: Path,
    data: Path,
    output: Path,
    *,
    ecg: Path | None = None,
    labs: Path | None = None,
    ecgfounder: Path | None = None,
    patients: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> None:
    """Run stage 2, or go on with it, and write a whole run.

    Args:
        recipe_name: A recipe's name or path.
        encoder: Run of stage 1; it is only read.
        data: Cohort in Symile-MIMIC's layout.
        output: Run folder to write.
        ecg: Run of the electrocardiogram's teacher; only its cache of features is written to.
            None: it is made in the sub-folder ``ecg`` of the run.
        labs: Run of the laboratory teacher, likewise.
        ecgfounder: ECGFounder's checkpoint, which an own teacher is made from.
        patients: Table of admissions and patients.
        overrides: ``key=value`` on the recipe's section ``distill``.

    Raises:
        RecipeError: The recipe is refused, or the training was begun with another one.
        CheckpointError: A run is invalid.
        CohortError: The cohort is.
    """
    recipe = read_section(recipe_name, "distill", DistillationRecipe, overrides)
    start, run = RunDirectory(encoder), RunDirectory(output)
    told, modalities = start.load_provenance(), recipe.modalities()
    cohort = read_paired(data, patients=patients)
    inputs = {"encoder": start.encoder_digest, "cohort": cohort.digest}
    made = makers(recipe_name, data, ecgfounder=ecgfounder, patients=patients)
    folders = teachers_of(run, modalities, {"ecg": ecg, "labs": labs}, made)
    teachers = {name: teacher_told(folder) for name, folder in folders.items()}
    inputs |= {f"{name} teacher": teacher.sha256 for name, teacher in teachers.items()}
    claim(run, "distill", recipe, inputs, start=start)
    stage = distillation_stage(recipe, start, cohort, folders)
    train(stage, recipe.loop, run)
    step = f"pacx train distill --recipe {recipe_name}"
    sources = cohort.sources("stage 2: the encoder's physiology")
    taught = tuple(teachers.values())
    record(run, told, step, sources, _limits(cohort, taught), teachers=taught)
    if is_main():
        report = measure_retention(start, run, cohort.splits).model_dump_json(indent=2)
        write_atomically(output / "retention.json", report.encode() + b"\n")


def _limits(cohort: PairedCohort, teachers: Sequence[Teacher]) -> tuple[str, ...]:
    if cohort.simulated:
        return (_SIMULATED,)
    taught = any(source.simulated for teacher in teachers for source in teacher.sources)
    return (_TAUGHT,) if taught else ()


def distillation_stage(
    recipe: DistillationRecipe,
    start: RunDirectory,
    cohort: PairedCohort,
    teachers: Mapping[Modality, Path],
) -> Stage:
    """Stage 2 as the loop wants it, from a seeded start."""
    features = {split: _features(teachers, cohort.splits[split]) for split in ("train", "val")}
    torch.manual_seed(recipe.loop.seed)
    student = Student(
        start.load_encoder(),
        {name: said.dimension for name, said in features["train"].items()},
        recipe.objective,
        recipe.tuning,
    )
    size = student.encoder.config.image_size

    def source(split: Split, augmentation: DistortionSettings | None) -> PairedFilms:
        return PairedFilms(cohort.splits[split], features[split], size, augmentation)

    return Stage(
        module=student,
        training=source("train", recipe.augmentation),
        validation=source("val", None) if len(cohort.splits["val"]) else None,
        save=lambda run: save_student(student, recipe.tuning, run),
    )


def _features(teachers: Mapping[Modality, Path], split: SymileSplit) -> dict[Modality, Features]:
    readers = {"ecg": ecg_features, "labs": labs_features}
    return {name: readers[name](folder, split) for name, folder in teachers.items()}


def save_student(student: Student, tuning: TuningSettings, run: RunDirectory) -> None:
    """Write the fused encoder, the adapter beside it, and the heads."""
    run.save_encoder(fused(student.encoder))
    if tuning.lora is not None:
        save_adapter(student.encoder, tuning.lora, run.path)
    heads: dict[str, Tensor] = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in student.state_dict().items()
        if not name.startswith("encoder.")
    }
    write_atomically(run.path / "projections.safetensors", safetensors.torch.save(heads))
