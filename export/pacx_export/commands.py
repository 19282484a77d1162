"""The commands ``pacx export ...``; torch is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from pacx.bundle import DEFAULT, Bundle, open_bundle, resolve

BundleArgument = Annotated[
    str | None, typer.Argument(help=f"A bundle's folder, or the name of a shipped one: {DEFAULT}.")
]
BundleOption = Annotated[
    str | None, typer.Option("--bundle", help="The same, as an option.", show_default=False)
]
AdditionOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="A copy to write; without it the bundle is added to."),
]
FilmsOption = Annotated[
    Path | None,
    typer.Option(help="Real radiographs to prove it on; without them, phantoms only."),
]

app = typer.Typer(no_args_is_help=True, help="Turn a run into a verified bundle.")


@app.callback()
def export() -> None:
    """Turn a run into a verified bundle."""


@app.command()
def bundle(
    run: Annotated[Path, typer.Argument(help="A run folder with an encoder; heads are optional.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")],
    name: Annotated[
        str | None, typer.Option(help="Of the model; without it, that of the output's folder.")
    ] = None,
    version: Annotated[str, typer.Option(help="Of the model, such as 0.1.0.")] = "0.1.0",
    films: FilmsOption = None,
) -> None:
    """Fuse, compile and prove a run; nothing is written unless every gate passes."""
    from pacx_export.assembly import export_bundle
    from pacx_training.runs import RunDirectory

    named = output.absolute().name if name is None else name
    made = export_bundle(RunDirectory(run), output, name=named, version=version, films=films)
    console = Console()
    console.print(f"{made.manifest.name} {made.manifest.version} -> {output}", highlight=False)
    console.print(f"sha256 {made.sha256}", highlight=False)
    _warn_of_phantoms(made)


@app.command()
def prove(
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")],
    version: Annotated[str, typer.Option(help="Of the new bundle, such as 1.0.1.")],
    bundle: BundleArgument = None,
    named: BundleOption = None,
    films: FilmsOption = None,
) -> None:
    """Write a new version of a bundle that offers what this machine can prove of it, too.

    For a machine with engines or precisions that the bundle's maker lacked, such as bf16.
    """
    from pacx_export.proving import prove

    made = prove(_opened(bundle, named), output, version=version, films=films)
    Console().print(f"sha256 {made.sha256}", highlight=False)
    _warn_of_phantoms(made)


@app.command()
def int8(
    bundle: BundleArgument = None,
    named: BundleOption = None,
    output: AdditionOption = None,
    films: FilmsOption = None,
) -> None:
    """Add an integer variant to a bundle, if one decides as the bundle does."""
    from pacx_export.int8 import export_int8

    made = export_int8(_opened(bundle, named), output, films)
    Console().print(f"sha256 {made.sha256}", highlight=False)
    _warn_of_phantoms(made)


@app.command()
def tensorrt(
    bundle: BundleArgument = None,
    named: BundleOption = None,
    output: AdditionOption = None,
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(help="Such as 8.6, to build without that GPU; may be repeated."),
    ] = None,
    precision: Annotated[
        Literal["f16", "bf16", "f32"], typer.Option(help="Of matrix products.")
    ] = "f16",
    graph: Annotated[
        list[str] | None, typer.Option(help="Of the bundle; may be repeated; all by default.")
    ] = None,
    min_batch: Annotated[int, typer.Option(min=1, help="The fewest images of a batch.")] = 1,
    best_batch: Annotated[int, typer.Option(min=1, help="The batch to tune for.")] = 8,
    max_batch: Annotated[int, typer.Option(min=1, help="The most images of a batch.")] = 8,
    films: FilmsOption = None,
    timing_cache: Annotated[
        Path | None, typer.Option(help="A file that keeps TensorRT's measurements between builds.")
    ] = None,
) -> None:
    """Add TensorRT engines for this GPU, or ahead of time for others, if they answer alike."""
    from pacx.engines.base import graph_spec
    from pacx.engines.plans import BatchProfile
    from pacx_export.tensorrt import EngineOptions, export_tensorrt

    if not min_batch <= best_batch <= max_batch:
        raise typer.BadParameter("--min-batch, --best-batch and --max-batch go upwards.")
    opened = _opened(bundle, named)
    for name in graph or ():
        graph_spec(opened, name)
    options = EngineOptions(
        precision=precision,
        compute_capabilities=tuple(compute_capability or ()),
        batch=BatchProfile(minimum=min_batch, optimum=best_batch, maximum=max_batch),
        graphs=tuple(name for name in opened.manifest.graphs if not graph or name in graph),
        timing_cache=timing_cache,
    )
    made = export_tensorrt(opened, options, directory=output, films=films)
    Console().print(f"sha256 {made.sha256}", highlight=False)
    _warn_of_phantoms(made)


@app.command()
def triton(
    output: Annotated[Path, typer.Option("--output", "-o", help="The model repository to write.")],
    bundle: BundleArgument = None,
    named: BundleOption = None,
    max_batch: Annotated[int, typer.Option(min=1, help="The most images of one batch.")] = 8,
) -> None:
    """Write a Triton model repository, one model a graph."""
    from pacx_export.triton import export_triton

    export_triton(_opened(bundle, named), output, max_batch=max_batch)


def _opened(argument: str | None, option: str | None) -> Bundle:
    """The bundle of a command that takes it in either way."""
    if argument is not None and option is not None:
        raise typer.BadParameter("Name the bundle once: as the argument or with --bundle.")
    return open_bundle(resolve(argument or option or DEFAULT))


def _warn_of_phantoms(made: Bundle) -> None:
    """Say what no real radiograph had a part in, as the report and the card do."""
    from pacx_export.verification_report import FILE, Verification

    report = Verification.model_validate_json(made.path(FILE).read_bytes())
    for doubt in report.doubts:
        text = f"Warning: {doubt.strip('*')} --films FOLDER gives some."
        Console(stderr=True).print(text, style="yellow", highlight=False)
