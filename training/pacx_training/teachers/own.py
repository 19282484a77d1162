"""The teachers that stage 2 makes for itself, in its own run, where none are named.

::

    RUN/ecg     as pacx train ecg writes it: ECGFounder, or a small teacher of the cohort
    RUN/labs    as pacx train labs writes it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pacx.errors import RecipeError
from pacx_training.runs import RunDirectory
from pacx_training.student import Modality
from pacx_training.teachers.ecg import import_ecg_teacher, train_ecg
from pacx_training.teachers.labs_training import train_labs

Maker = Callable[[Path], None]
"""Writes a teacher's run, or goes on with it."""


def makers(
    recipe_name: str, data: Path, *, ecgfounder: Path | None = None, patients: Path | None = None
) -> dict[Modality, Maker]:
    """How the teacher of each modality is made: by what its own command calls.

    Args:
        recipe_name: A recipe's name or path; its sections ``ecg`` and ``labs`` count.
        data: Cohort in Symile-MIMIC's layout.
        ecgfounder: ECGFounder's checkpoint; None: a small teacher is trained.
        patients: Table of admissions and patients.
    """

    def make_ecg(folder: Path) -> None:
        if ecgfounder is not None:
            import_ecg_teacher(ecgfounder, folder)
        elif not _finished(folder):
            train_ecg(recipe_name, data, folder, patients=patients)

    def make_labs(folder: Path) -> None:
        if not _finished(folder):
            train_labs(recipe_name, data, folder, patients=patients)

    return {"ecg": make_ecg, "labs": make_labs}


def teachers_of(
    run: RunDirectory,
    modalities: Sequence[Modality],
    named: Mapping[Modality, Path | None],
    made: Mapping[Modality, Maker],
) -> dict[Modality, Path]:
    """The run of every teacher; those that are not named are made, or finished.

    Args:
        run: Of stage 2.
        modalities: What it learns from.
        named: Runs that the caller has.
        made: See :func:`makers`.

    Raises:
        RecipeError: Stage 2 was begun with a teacher of another folder; or the maker refuses.
    """
    found: dict[Modality, Path] = {}
    for name in modalities:
        folder = named[name] or run.path / name
        if named[name] is None:
            if run.begun and not folder.is_dir():
                raise RecipeError(
                    f"The training in this folder was begun with another {name} teacher: name "
                    f"its run by --{name} to go on."
                )
            made[name](folder)
        found[name] = folder
    return found


def _finished(folder: Path) -> bool:
    """Whether a teacher lies there whole that no training can go on with.

    That is ECGFounder, imported before, or a teacher whose snapshots were removed. One that has
    snapshots is told what it is told now, so that a changed recipe is refused by name.
    """
    return (folder / "provenance.json").is_file() and not RunDirectory(folder).begun
