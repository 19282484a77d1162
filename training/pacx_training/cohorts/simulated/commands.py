"""``pacx simulate``: a cohort for those who have no credentialed data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    visits: Annotated[int, typer.Option("--visits", "-n", min=10, help="Films in all.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bits.")] = 0,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of a film, pixels.")] = 320,
    missing_ecg: Annotated[
        float, typer.Option(min=0, max=1, help="Share of visits without an ECG.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Write a simulated cohort in Symile-MIMIC's layout: film, ECG, fifty labs, and the truth."""
    from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort

    plan = CohortPlan(visits=visits, seed=seed, size=size, missing_ecg=missing_ecg)
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("simulating", total=visits)
        for done in write_cohort(plan, output, workers=workers):
            progress.update(task, completed=done)
    console.print(f"{visits} simulated visits in {output}; not data of real patients.")
