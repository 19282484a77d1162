"""``pacx calibrate`` and ``pacx drift``: a bundle at one hospital."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pacx.model import Model
    from pacx_evaluation.drift import Drift
    from pacx_evaluation.local_fit import LocalFit

BundleArgument = Annotated[
    str, typer.Argument(help="A bundle's folder, or the name of a shipped one.")
]
_console = Console()


def calibrate(
    bundle: BundleArgument,
    manifest: Annotated[Path, typer.Option(help="CSV or Parquet of local films with labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new bundle's folder.")],
    version: Annotated[str, typer.Option(help="Of the new bundle, such as 1.1.0.")],
    label: Annotated[
        list[str] | None, typer.Option(help="A column to fit; repeatable; without it all.")
    ] = None,
    target_sensitivity: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    target_fpr: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=0.02: among the patients to come, where the films were selected."),
    ] = None,
) -> None:
    """Fit temperatures and thresholds on a hospital's own films, as a new bundle version."""
    from pacx.model import load
    from pacx.naming import check_successor
    from pacx_evaluation.benchmarks.manifest import manifest_benchmark
    from pacx_evaluation.calibrated_bundle import write_calibrated
    from pacx_evaluation.local_fit import Aim, check_fittable, fit_all
    from pacx_evaluation.predicting import predict_films

    aim = Aim(sensitivity=target_sensitivity, false_positive_rate=target_fpr)
    prevalences = _prevalences(prevalence or [])
    local, model = manifest_benchmark(manifest, label or ()), load(bundle)
    check_successor(model.bundle, output, version)
    check_fittable(model.bundle, local, prevalences)
    _, logits = predict_films(model, local.cohort.paths)
    fits = fit_all(model.bundle, logits, local, aim, prevalences)
    write_calibrated(model.bundle, fits, local, output, version)
    _console.print(_fits(fits))


def drift(
    first: Annotated[Path, typer.Argument(help="A manifest or a folder of films.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    bundle: Annotated[str | None, typer.Option(help="Without it, the bundled model.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A JSON file to write.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap samples.")] = 2000,
) -> None:
    """Compare embeddings and scores of two sets of films, such as last year's and this one's."""
    from pacx.model import load
    from pacx_evaluation import drift as drifting
    from pacx_evaluation.predicting import predict_films
    from pacx_evaluation.statistics.bootstrap import Bootstrap
    from pacx_training.atomic import write_atomically
    from pacx_training.cohorts.catalogue import read_cohort

    model = load(bundle)
    cohorts = [read_cohort(path)[0] for path in (first, second)]
    (e1, l1), (e2, l2) = (predict_films(model, cohort.paths) for cohort in cohorts)
    found = drifting.drift(
        (e1, e2),
        (drifting.patients_of(cohorts[0]), drifting.patients_of(cohorts[1])),
        _probabilities(model, l1, l2),
        Bootstrap(replicates=replicates),
    )
    if output is not None:
        write_atomically(output, found.model_dump_json(indent=1).encode() + b"\n")
    _console.print(_drift(found))


def _probabilities(
    model: Model, first: NDArray[np.float64], second: NDArray[np.float64]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    from pacx.engines.parity import probabilities

    left, right = (
        probabilities(logits.astype("float32"), model.manifest) for logits in (first, second)
    )
    labels = [finding.label for finding in model.manifest.findings]
    return {label: (left[:, n], right[:, n]) for n, label in enumerate(labels)}


def _prevalences(texts: list[str]) -> dict[str, float]:
    from pacx.errors import BenchmarkError

    try:
        pairs = [text.split("=") for text in texts]
        return {label: float(value) for label, value in pairs}
    except ValueError as error:
        raise BenchmarkError("A prevalence has the form LABEL=0.02.") from error


def _fits(fits: tuple[LocalFit, ...]) -> Table:
    from pacx_evaluation.calibrated_bundle import trained_at

    table = Table("finding", "positive here", "positive in training", "probabilities are for")
    for column in ("mean probability", "temperature", "threshold", "ECE", "Brier"):
        table.add_column(column)
    for fit in fits:
        meant = fit.corrected_prevalence
        table.add_row(
            fit.label,
            f"{fit.local_prevalence:.3f} ({fit.positives} of {fit.films} films)",
            trained_at(fit),
            "the prior it came with" if meant is None else f"a prevalence of {meant:.3f}",
            f"{fit.mean_probability:.3f}",
            f"{fit.temperature_before:.2f} -> {fit.temperature:.2f}",
            f"{fit.threshold_before:.3f} -> {fit.threshold:.3f}",
            f"{fit.ece_before:.3f} -> {fit.ece:.3f}",
            f"{fit.brier_before:.3f} -> {fit.brier:.3f}",
        )
    table.caption = (
        "Measured on the films that were fitted on; mean probability, ECE and Brier before any "
        "correction of prevalence (--prevalence LABEL=0.02). Not for clinical use."
    )
    return table


def _drift(found: Drift) -> Table:
    area = found.separability
    title = f"{found.films[0]} and {found.films[1]} films, told apart with AUROC {area.value:.3f}"
    table = Table("finding", "mean before", "mean after", "difference", "KS", title=title)
    for score in found.scores:
        moved = score.difference
        table.add_row(
            score.label,
            f"{score.mean_first:.3f}",
            f"{score.mean_second:.3f}",
            f"{moved.value:+.3f} ({moved.low:+.3f} to {moved.high:+.3f})",
            f"{score.kolmogorov_smirnov:.3f}",
        )
    table.caption = f"AUROC {area.low:.3f} to {area.high:.3f}; 0.5 means that they look the same."
    return table
