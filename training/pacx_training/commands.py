"""The commands ``pacx train ...`` and ``pacx import``; torch is imported when one is called."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pacx.manifest import AnatomySpec, Interval
    from pacx_training.heads import FindingReport
    from pacx_training.values import ValueReport

app = typer.Typer(no_args_is_help=True, help="Train the encoder, its teachers and its heads.")

Recipe = Annotated[str, typer.Option(help="paper, small, smoke, or the path of a YAML file.")]
Data = Annotated[list[Path], typer.Option(help="A cohort's folder or manifest; repeatable.")]
Cohort = Annotated[Path, typer.Option("--data", help="A cohort in Symile-MIMIC's layout.")]
Patients = Annotated[
    Path | None, typer.Option(help="CSV of hadm_id and subject_id, such as MIMIC's admissions.")
]
Images = Annotated[
    Path | None,
    typer.Option(help="MIMIC-CXR-JPG's folder, for MedMod and CXLSeg, whose films lie there."),
]
FilmFolder = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder of prepared films; film-cache beside the run."),
]
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
    cache: FilmFolder = None,
    images: Images = None,
    patients: Patients = None,
    overrides: Overrides = None,
) -> None:
    """Stage 1: train the encoder by masked autoencoding; called again, it goes on."""
    from pacx_training.pretraining import pretrain

    pretrain(
        recipe,
        data,
        output,
        initialisation=initialisation,
        cache=cache,
        images=images,
        patients=patients,
        overrides=tuple(overrides or ()),
    )


@app.command()
def agglomerate(
    encoder: Annotated[Path, typer.Option(help="The run folder whose encoder is the start.")],
    data: Data,
    output: Output,
    class_token: Annotated[
        list[Path] | None,
        typer.Option(help="A run whose class token is taught; repeatable."),
    ] = None,
    patches: Annotated[
        list[Path] | None,
        typer.Option(help="A run of whose patches the mean is taught; repeatable."),
    ] = None,
    recipe: Recipe = "small",
    cache: FilmFolder = None,
    overrides: Overrides = None,
) -> None:
    """Teach one class token what several encoders tell; called again, it goes on."""
    from pacx_training.agglomeration import agglomerate as teach

    teach(
        recipe,
        encoder,
        data,
        output,
        class_tokens=tuple(class_token or ()),
        patches=tuple(patches or ()),
        cache=cache,
        overrides=tuple(overrides or ()),
    )


@app.command()
def labs(
    data: Cohort,
    output: Output,
    recipe: Recipe = "small",
    patients: Patients = None,
    overrides: Overrides = None,
) -> None:
    """Train the teacher of laboratory values; called again, it goes on."""
    from pacx_training.teachers.labs_training import train_labs

    train_labs(recipe, data, output, tuple(overrides or ()), patients)


@app.command()
def percentiles(
    table: Annotated[
        Path, typer.Argument(help="CSV or Parquet: hadm_id, split, and a column per analyte.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="data_npy; made if missing.")],
) -> None:
    """Turn raw laboratory values into percentiles of the training split, as train labs reads."""
    from pacx_training.laboratory_tables import write_percentiles

    analytes = write_percentiles(table, output)
    Console().print(f"Percentiles of {len(analytes)} analytes, fitted on train alone.")


@app.command()
def ecg(
    output: Output,
    data: Annotated[
        Path | None, typer.Option(help="A cohort in Symile-MIMIC's layout, or WFDB records.")
    ] = None,
    ecgfounder: Annotated[
        Path | None, typer.Option(help="ECGFounder's checkpoint, taken as it is instead.")
    ] = None,
    recipe: Recipe = "small",
    patients: Patients = None,
    overrides: Overrides = None,
) -> None:
    """Train the teacher of electrocardiograms, or take ECGFounder; called again, it goes on."""
    from pacx_training.teachers.ecg import import_ecg_teacher, train_ecg

    if (data is None) == (ecgfounder is None):
        raise typer.BadParameter("Name either --data or --ecgfounder.")
    if ecgfounder is not None:
        import_ecg_teacher(ecgfounder, output)
    elif data is not None:
        train_ecg(recipe, data, output, tuple(overrides or ()), patients)


@app.command()
def distill(
    encoder: Annotated[Path, typer.Option(help="The run folder of stage 1.")],
    data: Cohort,
    output: Output,
    ecg: Annotated[
        Path | None,
        typer.Option(help="The run of the ECG's teacher; left out, one is made in RUN/ecg."),
    ] = None,
    labs: Annotated[
        Path | None,
        typer.Option(help="The run of the laboratory teacher; left out, one is made in RUN/labs."),
    ] = None,
    ecgfounder: Annotated[
        Path | None,
        typer.Option(help="ECGFounder's checkpoint, to be the ECG's teacher."),
    ] = None,
    recipe: Recipe = "small",
    patients: Patients = None,
    overrides: Overrides = None,
) -> None:
    """Stage 2: teach the encoder what ECG and laboratory know; called again, it goes on."""
    from pacx_training.distillation import distill as run_stage_2

    if ecg is not None and ecgfounder is not None:
        raise typer.BadParameter("Name either --ecg or --ecgfounder.")
    run_stage_2(
        recipe,
        encoder,
        data,
        output,
        ecg=ecg,
        labs=labs,
        ecgfounder=ecgfounder,
        patients=patients,
        overrides=tuple(overrides or ()),
    )


@app.command()
def heads(
    encoder: Annotated[Path, typer.Option(help="The run folder whose encoder is frozen.")],
    data: Annotated[Path, typer.Option(help="A labelled cohort's folder or manifest.")],
    output: Output,
    recipe: Recipe = "small",
    images: Images = None,
    patients: Patients = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the films' embeddings, made where missing.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train heads on a frozen encoder: findings with thresholds, values with intervals."""
    from pacx_training.findings import train_findings
    from pacx_training.values import ValueReport

    options = tuple(overrides or ())
    reports = train_findings(
        recipe, encoder, data, output, options, images=images, patients=patients, cache=cache
    )
    values = [report for report in reports if isinstance(report, ValueReport)]
    findings = [report for report in reports if not isinstance(report, ValueReport)]
    for table in (_finding_table(findings), _value_table(values)):
        if table.row_count:
            Console().print(table)


@app.command()
def anatomy(
    encoder: Annotated[Path, typer.Option(help="The run folder whose encoder is frozen.")],
    data: Annotated[Path, typer.Option(help="outlines.json: polygons of heart and lungs.")],
    images: Annotated[Path, typer.Option(help="The folder of the films that it names.")],
    output: Output,
    recipe: Recipe = "small",
    cache: Annotated[
        Path | None, typer.Option(help="File of the films' tokens, made where it is missing.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train a decoder of heart and lungs on a frozen encoder, cross-validated by patient."""
    from pacx_training.anatomy import train_anatomy

    options = tuple(overrides or ())
    found = train_anatomy(recipe, encoder, data, images, output, options, cache=cache)
    Console().print(_anatomy_table(found))


def import_checkpoint(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="safetensors, a torch checkpoint, a folder of a model hub, or a bundle: folder or "
            "name."
        ),
    ],
    output: Output,
    initialisation: Annotated[
        str | None, typer.Option(help="What it is and where it comes from, for the model card.")
    ] = None,
    layer_norm_eps: Annotated[
        float | None,
        typer.Option(help="1e-5 for the authors' merged stage 2; told from the keys otherwise."),
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(help="Of the authors' stage 2; as the checkpoint records it otherwise."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="An output of the head, in order; repeatable.")
    ] = None,
    task: Annotated[
        Literal["binary", "multilabel", "multiclass"] | None,
        typer.Option(help="Of the head, where the checkpoint does not tell it."),
    ] = None,
    mean: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Of the channels, as trained; the hub's or ImageNet's otherwise."),
    ] = None,
    std: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Standard deviation of the channels, likewise."),
    ] = None,
) -> None:
    """Turn a checkpoint of timm, MAE, DINOv2 or the authors, or a bundle, into a run folder."""
    from pacx.bundle import MANIFEST, bundled, open_bundle, resolve
    from pacx_training.bundle_imports import import_bundle
    from pacx_training.checkpoint_input import is_hub_folder, weights_in
    from pacx_training.imports import import_run

    if layer_norm_eps is not None and not 0 < layer_norm_eps < math.inf:
        raise typer.BadParameter("--layer-norm-eps is a number above 0.")
    if (mean is None) != (std is None):
        raise typer.BadParameter("--mean and --std go together.")
    if mean is not None and not all(map(math.isfinite, mean)):
        raise typer.BadParameter("--mean are three finite numbers.")
    if std is not None and not all(0 < value < math.inf for value in std):
        raise typer.BadParameter("--std are three finite numbers above 0.")
    published = is_hub_folder(checkpoint) and not (checkpoint / MANIFEST).is_file()
    if not published and (checkpoint.is_dir() or bundled(str(checkpoint)).is_dir()):
        if initialisation or layer_norm_eps or lora_alpha or label or task or mean:
            raise typer.BadParameter("A bundle says all of itself: it takes no options but -o.")
        import_bundle(open_bundle(resolve(checkpoint)), output)
        return
    import_run(
        weights_in(checkpoint) if published else checkpoint,
        output,
        initialisation or f"{checkpoint.name}, of which nothing else was stated",
        layer_norm_eps=layer_norm_eps,
        lora_alpha=lora_alpha,
        labels=tuple(label or ()),
        task=task,
        normalisation=(mean, std) if mean and std else None,
    )


def _value_table(reports: list[ValueReport]) -> Table:
    table = Table(title="R2 and mean absolute error with 95 % intervals over patients")
    for column in ("value", "unit", "films", "R2 held out", "error", "R2 validation", "error"):
        table.add_column(column)
    for report in reports:
        measures = (
            report.held_out,
            report.held_out_error,
            report.validation,
            report.validation_error,
        )
        films, unit = str(report.training_films), report.unit or "-"
        table.add_row(report.label, unit, films, *map(_interval, measures))
    return table


def _finding_table(reports: list[FindingReport]) -> Table:
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


def _anatomy_table(report: AnatomySpec) -> Table:
    table = Table("measure", "out of fold", title=f"Anatomy on {report.films} films")
    for name, value in report:
        if value is not None and not isinstance(value, int | float):
            table.add_row(name.replace("_", " "), _interval(value))
    return table


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.3f} ({interval.low:.3f}-{interval.high:.3f})"
