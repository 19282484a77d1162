"""``pacx simulate``: a cohort for those who have no credentialed data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

VISITS = 1000
"""Of a cohort of phantoms, where nothing is said."""


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    visits: Annotated[
        int | None,
        typer.Option(
            "--visits",
            "-n",
            min=10,
            help="Films in all: 1000, or with --given all of them; fewer are drawn by the seed.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Same seed, same bits.")] = 0,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of a film, pixels.")] = 320,
    missing_ecg: Annotated[
        float, typer.Option(min=0, max=1, help="Share of visits without an ECG.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    given: Annotated[
        Path | None,
        typer.Option(help="Real films (a manifest or data set) to draw patients for instead."),
    ] = None,
    anatomy: Annotated[
        str | None,
        typer.Option(help="With --given: a bundle that measures heart and lungs of the films."),
    ] = None,
) -> None:
    """Write a simulated cohort in Symile-MIMIC's layout: film, ECG, fifty labs, and the truth."""
    from pacx_training.cohorts.simulated.cohort import CohortPlan, write_cohort

    if given is not None:
        _simulate_given(given, output, GivenOptions(anatomy, visits, seed, size, workers))
        return
    if anatomy is not None:
        raise typer.BadParameter("--anatomy measures the films of --given.")
    plan = CohortPlan(visits=visits or VISITS, seed=seed, size=size, missing_ecg=missing_ecg)
    _show(write_cohort(plan, output, workers=workers), plan.visits)
    Console(stderr=True).print(
        f"{plan.visits} simulated visits in {output}; not data of real patients."
    )


class GivenOptions(NamedTuple):
    """What the command was told besides films and folder."""

    anatomy: str | None
    visits: int | None
    seed: int
    size: int
    workers: int


def _simulate_given(given: Path, output: Path, options: GivenOptions) -> None:
    from pacx.model import load
    from pacx_training.cohorts.catalogue import read_cohort
    from pacx_training.cohorts.simulated.film_anatomy import with_anatomy
    from pacx_training.cohorts.simulated.given import GivenPlan, drawn, write_cohort_given

    films, terms = read_cohort(given)
    plan = GivenPlan(films=terms, visits=options.visits, seed=options.seed, size=options.size)
    films = drawn(films, plan)
    if options.anatomy is not None:
        model = load(options.anatomy)
        films = with_anatomy(films, model)
        plan = plan.model_copy(update={"anatomy": model.sha256})
    _show(write_cohort_given(films, plan, output, workers=options.workers), len(films))
    text = f"{len(films)} real films with simulated ECG and laboratory values in {output}."
    Console(stderr=True).print(text)


def _show(done: Iterator[int], total: int) -> None:
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("simulating", total=total)
        for count in done:
            progress.update(task, completed=count)
