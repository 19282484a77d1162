"""From nothing to four encoders, by the same functions as the commands call."""

from __future__ import annotations

import json
from pathlib import Path

from rich.progress import track

from benchmarks.reproduction.plan import DISTILLED, ReproductionPlan, Variant
from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort
from pacx_training.distillation import distill
from pacx_training.pretraining import pretrain
from pacx_training.runs import RunDirectory
from pacx_training.student import Modality
from pacx_training.teachers.ecg import train_ecg
from pacx_training.teachers.labs_training import train_labs


def train_encoders(plan: ReproductionPlan, work: Path) -> dict[Variant, RunDirectory]:
    """Run every stage that is not done yet; a stage that was stopped goes on.

    Args:
        plan: What to run.
        work: Folder for the cohort and all runs.

    Returns:
        The run of every encoder.
    """
    recipe, cohort = str(plan.recipe), work / "cohort"
    simulate_once(plan.cohort, cohort)
    pretrain(recipe, [cohort / "films.csv"], work / "mae")
    train_labs(recipe, cohort, work / "labs")
    train_ecg(recipe, cohort, work / "ecg")
    runs: dict[Variant, RunDirectory] = {"stage 1": RunDirectory(work / "mae")}
    for variant, overrides in DISTILLED.items():
        output = work / variant.replace(" ", "-")
        distill(recipe, work / "mae", cohort, output, overrides=overrides, **teachers(work))
        runs[variant] = RunDirectory(output)
    return runs


def teachers(work: Path) -> dict[Modality, Path]:
    """Where :func:`train_encoders` leaves the runs of the teachers."""
    return {"ecg": work / "ecg", "labs": work / "labs"}


def simulate_once(plan: CohortPlan, folder: Path) -> None:
    """Write the cohort, unless the folder holds this very one."""
    if _written_plan(folder) == plan:
        return
    for _ in track(write_cohort(plan, folder), "simulating", total=plan.visits):
        pass


def _written_plan(folder: Path) -> CohortPlan | None:
    path = folder / "simulation.json"
    if not path.is_file():
        return None
    plan = json.loads(path.read_text("utf-8")).get("plan")
    return CohortPlan.model_validate(plan) if plan else None
