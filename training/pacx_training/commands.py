"""The commands ``pacx train ...`` and ``pacx import``; torch is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pacx.manifest import Interval
    from pacx_training.heads import FindingReport

app = typer.Typer(no_args_is_help=True, help="Train the encoder, its teachers and its heads.")

Recipe = Annotated[str, typer.Option(help="paper, small, smoke, or the path of a YAML file.")]
Data = Annotated[list[Path], typer.Option(help="A cohort's folder or manifest; repeatable.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The run folder to write.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override one value of the recipe: key=value.")
]


@app.callback()
def train() -> None:
    """Train the encoder, its teachers and its heads."""


@app.command()
def mae(
    data: Data,
    output: Output,
    recipe: Recipe = "small",
    initialisation: Annotated[
        Path | None, typer.Option(help="The run folder whose encoder is the start.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of prepared films; film-cache beside the run.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Stage 1: train the encoder by masked autoencoding; called again, it goes on."""
    from pacx_training.pretraining import pretrain

    options = tuple(overrides or ())
    pretrain(recipe, data, output, initialisation=initialisation, cache=cache, overrides=options)


@app.command()
def heads(
    encoder: Annotated[Path, typer.Option(help="The run folder whose encoder is frozen.")],
    data: Annotated[Path, typer.Option(help="A folder of NIH ChestX-ray14 with labels.csv.")],
    output: Output,
    recipe: Recipe = "small",
    overrides: Overrides = None,
) -> None:
    """Train linear heads on a frozen encoder, with calibration and thresholds."""
    from pacx_training.findings import train_findings

    reports = train_findings(recipe, encoder, data, output, tuple(overrides or ()))
    Console().print(_table(reports))


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="safetensors or a torch state dict.")],
    output: Output,
    initialisation: Annotated[str, typer.Option(help="What it is and where it comes from.")],
    layer_norm_eps: Annotated[float, typer.Option(help="1e-5 for the authors' stage 2.")] = 1e-6,
) -> None:
    """Turn weights of timm, MAE, DINOv2 or the authors' stage 1 into a run folder."""
    from pacx.manifest import Provenance
    from pacx_training.checkpoints import import_encoder
    from pacx_training.runs import RunDirectory

    run = RunDirectory(output)
    run.save_encoder(import_encoder(checkpoint, layer_norm_eps=layer_norm_eps))
    steps = (f"pacx import {checkpoint.name}",)
    run.save_provenance(Provenance(initialisation=initialisation, sources=(), steps=steps))
    run.save_environment()


def _table(reports: tuple[FindingReport, ...]) -> Table:
    table = Table(title="AUROC with 95 % intervals over patients")
    for column in ("label", "positives", "held out", "within", "validation", "within"):
        table.add_column(column)
    for report in reports:
        areas = (
            report.held_out,
            report.held_out_within,
            report.validation,
            report.validation_within,
        )
        table.add_row(report.label, str(report.training_positives), *map(_interval, areas))
    return table


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.3f} ({interval.low:.3f}-{interval.high:.3f})"
