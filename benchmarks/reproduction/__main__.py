"""``python -m benchmarks.reproduction``: see ``scripts/reproduce-simulated``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.reproduction.comparison import compare
from benchmarks.reproduction.pipeline import teachers, train_encoders
from benchmarks.reproduction.plan import full_plan, quick_plan
from benchmarks.reproduction.report import write_report
from pacx_training.provenance import revision


def main(
    work: Annotated[Path, typer.Option(help="Cohort and runs; a stopped run goes on.")] = Path(
        "runs/reproduction"
    ),
    report: Annotated[Path | None, typer.Option(help="Where the page is written.")] = None,
    quick: Annotated[bool, typer.Option(help="The same path in seconds.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the cohort.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="That torch may use.")] = 2,
) -> None:
    """Simulate patients, run every stage and ablation, probe them, and write the page."""
    # Ridges on a dozen films meet columns that do not vary.
    warnings.filterwarnings("ignore", module="sklearn")
    torch.set_num_threads(threads)
    plan = quick_plan(seed) if quick else full_plan(seed)
    folder, code = work / ("quick" if quick else "full"), revision() or "unknown"
    runs = train_encoders(plan, folder)
    results = compare(plan, folder / "cohort", runs, teachers(folder))
    write_report(results, plan, code, report or folder / "report")


if __name__ == "__main__":
    typer.run(main)
