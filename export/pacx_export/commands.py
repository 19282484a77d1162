"""The commands ``pacx export ...``; torch is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Turn a run into a verified bundle.")


@app.callback()
def export() -> None:
    """Turn a run into a verified bundle."""


@app.command()
def bundle(
    run: Annotated[Path, typer.Argument(help="A run folder with an encoder and heads.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")],
    name: Annotated[str, typer.Option(help="Of the model.")],
    version: Annotated[str, typer.Option(help="Of the model, such as 0.1.0.")] = "0.1.0",
    films: Annotated[
        Path | None,
        typer.Option(help="Real radiographs to prove it on; without them, phantoms only."),
    ] = None,
) -> None:
    """Fuse, compile and prove a run; nothing is written unless every gate passes."""
    from pacx_export.assembly import export_bundle
    from pacx_training.runs import RunDirectory

    made = export_bundle(RunDirectory(run), output, name=name, version=version, films=films)
    console = Console()
    console.print(f"{made.manifest.name} {made.manifest.version} -> {output}", highlight=False)
    console.print(f"sha256 {made.sha256}", highlight=False)


@app.command()
def int8(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write.")],
    films: Annotated[
        Path | None,
        typer.Option(help="Real radiographs to prove it on; without them, phantoms only."),
    ] = None,
) -> None:
    """Copy a bundle with an integer variant, if one decides as the bundle does."""
    from pacx.bundle import open_bundle, resolve
    from pacx_export.int8 import export_int8

    made = export_int8(open_bundle(resolve(bundle)), output, films)
    Console().print(f"sha256 {made.sha256}", highlight=False)


@app.command()
def triton(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model repository to write.")],
    max_batch: Annotated[int, typer.Option(min=1, help="The most images of one batch.")] = 8,
) -> None:
    """Write a Triton model repository, one model a graph."""
    from pacx.bundle import open_bundle, resolve
    from pacx_export.triton import export_triton

    export_triton(open_bundle(resolve(bundle)), output, max_batch=max_batch)
