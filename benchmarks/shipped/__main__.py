"""``python -m benchmarks.shipped``: see ``scripts/train-shipped-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.shipped.choice import choose as choose_encoder
from benchmarks.shipped.comparison import Line
from benchmarks.shipped.films import write_films, write_radiographs
from benchmarks.shipped.interpolation import write_interpolated
from benchmarks.shipped.marker_table import write_marker_table
from benchmarks.shipped.stage1 import write_curves
from benchmarks.shipped.study import Study, write_study

app = typer.Typer(no_args_is_help=True, help="The model that ships: its films and its measures.")

Films = Annotated[Path, typer.Option(help="The manifest that `films` wrote.")]
Cohort = Annotated[Path, typer.Option(help="What pacx simulate --given made of it.")]
Before = Annotated[Path, typer.Option(help="Run that is compared with, such as before a stage.")]
After = Annotated[Path, typer.Option(help="Run of the stage.")]


@app.command()
def films(
    data: Annotated[Path, typer.Option(help="Folder that holds radiographs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV to write.")],
) -> None:
    """Choose the films of stage 2 and who is held apart."""
    write_films(data, output)


@app.command()
def radiographs(
    data: Annotated[Path, typer.Option(help="Folder that holds radiographs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV to write.")],
) -> None:
    """List the films of stage 1 with their weights."""
    write_radiographs(data, output)


@app.command()
def markers(
    films: Films,
    cohort: Cohort,
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV to write.")],
) -> None:
    """Write the simulated markers as pacx train heads reads them."""
    write_marker_table(films, cohort, output)


@app.command()
def interpolate(
    before: Before,
    after: After,
    share: Annotated[float, typer.Option(min=0, max=1, help="0 is before, 1 after.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder to write.")],
) -> None:
    """Write an encoder that went only a share of the way of a stage."""
    write_interpolated(before, after, share, output)


@app.command()
def choose(
    before: Before,
    candidate: Annotated[list[Path], typer.Option(help="Run with a comparison.json; repeatable.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder to write.")],
) -> None:
    """Copy the encoder that ships: most physiology, no finding lost, or what was before."""
    typer.echo(f"{choose_encoder(before, candidate, output).name} ships.")


@app.command()
def curves(
    before: Annotated[Path, typer.Option(help="Run that stage 1 began with.")],
    run: Annotated[list[Path], typer.Option(help="Run of stage 1, with snapshots; repeatable.")],
    data: Annotated[Path, typer.Option(help="NIH's folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
) -> None:
    """Probe the snapshots of stage 1: what masked autoencoding does to the findings."""
    typer.echo(write_curves(before, run, data, output).round(3).to_string(index=False))


@app.command()
def probe(
    before: Before,
    after: After,
    films: Films,
    cohort: Cohort,
    data: Annotated[Path, typer.Option(help="Folder that holds radiographs and annotations.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON to write.")],
    final: Annotated[bool, typer.Option(help="Report NIH val too, once.")] = False,
    deep: Annotated[bool, typer.Option(help="Relevance and outlines too.")] = False,
) -> None:
    """Compare two encoders on frozen features."""
    study = Study(before=before, after=after, films=films, cohort=cohort, data=data)
    lines = write_study(study, output, final=final, deep=deep)
    typer.echo("\n".join(map(_text, lines)))


def _text(line: Line) -> str:
    cells = (f"{i.value:.3f} ({i.low:.3f} to {i.high:.3f})" for i in (line.before, line.after))
    change = line.difference
    return f"| {line.measure} | {line.films} | {' | '.join(cells)} | {change.value:+.3f} (" + (
        f"{change.low:+.3f} to {change.high:+.3f}) |"
    )


if __name__ == "__main__":
    app()
