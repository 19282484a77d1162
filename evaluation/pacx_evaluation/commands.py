"""The command ``pacx evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pacx_evaluation.asked import PROTOCOL_NAMES, Asked
from pacx_evaluation.progress import shown

if TYPE_CHECKING:
    from pacx_evaluation.report.records import Report

Subjects = Annotated[
    list[str],
    typer.Argument(
        help="A bundle, run folder, checkpoint, ONNX file, server's address or "
        "random:vit_small_patch16_224; NAME=SUBJECT names it. The first is the baseline."
    ),
]
_console = Console(stderr=True)


def evaluate(
    context: typer.Context,
    subjects: Subjects,
    benchmark: Annotated[str, typer.Option(help="nih, hannover, ..., or a manifest.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The report's folder.")],
    data: Annotated[
        Path | None, typer.Option(help="The folder that a named benchmark is read from.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="MIMIC-CXR-JPG's folder, for medmod and cxl-seg; else --data."),
    ] = None,
    teachers: Annotated[
        Path | None,
        typer.Option(help="A run of pacx train distill with its teachers, for symile."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(PROTOCOL_NAMES[:-1])} or {PROTOCOL_NAMES[-1]}; repeatable."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="A manifest's column to ask about; repeatable.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap samples.")] = 2000,
    subsets: Annotated[int, typer.Option(min=2, help="Few-label subsets.")] = 5,
    films: Annotated[
        int, typer.Option(min=1, help="Films for robustness, export-parity and speed, at most.")
    ] = 200,
    outlines: Annotated[
        Path | None, typer.Option(help="JSON of outlines on films in --data: explanations, masks.")
    ] = None,
    overlays: Annotated[
        int, typer.Option(min=0, help="Films that explanations show in the report, at most.")
    ] = 6,
    epochs: Annotated[float, typer.Option(min=0.01, help="Of fine-tuning.")] = 5,
    learning_rate: Annotated[
        list[float] | None,
        typer.Option(help="Of fine-tuning; repeatable, the best on films not reported is kept."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of fine-tuning.")] = 3,
    decoder_steps: Annotated[int, typer.Option(min=1, help="Of segmentation's decoder.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, subsets and resampling.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="File that keeps embeddings between evaluations.")
    ] = None,
    within: Annotated[
        Path | None, typer.Option(help="Refuse a manifest that names films outside this folder.")
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Tell progress and errors as JSON lines.")
    ] = False,
) -> None:
    """Measure encoders by the paper's protocol and write a report."""
    with shown(_console, as_json=events) as progress:
        protocols = tuple(dict.fromkeys(protocol or ["linear"]))
        given = _given(context)
        Asked(
            benchmark=benchmark, protocols=protocols, data=data, output=output, options=given
        ).check()

        from pacx_evaluation.benchmarks import open_benchmark

        # Before anything heavy is imported: a table that is wrong is told at once.
        opened = open_benchmark(
            benchmark,
            data=data,
            images=images,
            labels=label or (),
            within=within,
            teachers=teachers,
        )

        from pacx_evaluation.evaluation import prepare, run
        from pacx_evaluation.protocols.requirements import check_requirements
        from pacx_evaluation.protocols.study import decoder_recipe, tuning_plan
        from pacx_evaluation.report.writer import write_report
        from pacx_evaluation.statistics.bootstrap import Bootstrap
        from pacx_evaluation.subjects import EmbeddingCache, open_subject
        from pacx_evaluation.subjects.cache import default_cache
        from pacx_training.cohorts.outlines import read_outlines

        encoders = [open_subject(subject, seed=seed) for subject in subjects]
        outlined = read_outlines(outlines, data) if outlines and data else ()
        check_requirements(protocols, encoders, opened, outlined)
        study = prepare(
            encoders,
            opened,
            EmbeddingCache(cache or default_cache()),
            bootstrap=Bootstrap(replicates=replicates, seed=seed),
            seed=seed,
            subsets=subsets,
            films=films,
            outlined=outlined,
            overlays=overlays,
            tuning=tuning_plan(learning_rate, seeds=seeds, epochs=epochs),
            decoder=decoder_recipe(decoder_steps, seed),
            progress=progress,
        )
        outcomes = run(study, protocols, progress)
        report = write_report(study, outcomes, output)
    _console.print(_summary(report))
    _console.print(f"Report: {output / 'report.html'}", highlight=False)


def _given(context: typer.Context) -> set[str]:
    """The options that stood on the command line, as they are written there."""
    return {
        f"--{name.replace('_', '-')}"
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def _summary(report: Report) -> Table:
    from pacx_evaluation.report.pages import headlines

    table = Table("subject", "metric", "value", "95 % interval", title=report.title)
    for line in headlines(report):
        table.add_row(line.identity.name, line.metric, line.cell.value, line.cell.interval)
    return table
