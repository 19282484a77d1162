"""``pacx explain``: a map of one radiograph, in this process, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from pacx.engine_options import DEVICE, RESEARCH_ENGINE
from pacx.errors import MalformedRequest
from pacx.model import load
from pacx.outputs import check_output
from pacx.reading import read
from pacx_server.outlines import OUTLINES, parse_outlines
from pacx_server.overlay import Crop, Style, explain_radiograph


def explain(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A radiograph.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The overlay, a .png file; or the bare map as .npy."),
    ],
    method: Annotated[
        str,
        typer.Option(
            help="How the map is made; a wrong name is answered with those that there are."
        ),
    ] = "rollout",
    target: Annotated[str | None, typer.Option(help="Finding that the map explains.")] = None,
    versus: Annotated[
        str | None, typer.Option(help="Finding that the target is compared with.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="A bundle's folder.")] = None,
    engine: Annotated[str, RESEARCH_ENGINE] = "auto",
    device: Annotated[str, DEVICE] = "cpu",
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the heat map.")] = 0.5,
    outlines: Annotated[
        str, typer.Option(help="Any of heart, lungs, ratio, separated by commas.")
    ] = ",".join(OUTLINES),
    legend: Annotated[bool, typer.Option(help="Scale and texts in a corner.")] = True,
    crop: Annotated[
        Crop, typer.Option(help="auto: the thorax, where a name may be burnt into the film.")
    ] = "auto",
    grid: Annotated[
        Literal["model", "film"],
        typer.Option(help="Of a .npy: the model's grid, or a number for each original pixel."),
    ] = "model",
) -> None:
    """An overlay on the original picture that shows where the model looked."""
    check_output(output, ".png", ".npy")
    bare = output.suffix.lower() == ".npy"
    if grid == "film" and not bare:
        raise MalformedRequest("--grid film is for .npy; a .png is drawn on the film's pixels.")
    style = Style(opacity=opacity, legend=legend, outlines=parse_outlines(outlines), crop=crop)
    model, radiograph = load(bundle, engine=engine, device=device), read(file)
    if bare:
        explanation = model.explain(radiograph, method=method, target=target, versus=versus)
        numbers = explanation.on_film() if grid == "film" else explanation.grid
        with output.open("wb") as stream:
            np.save(stream, numbers, allow_pickle=False)
        return
    picture = explain_radiograph(
        model, radiograph, method=method, target=target, versus=versus, style=style
    )
    output.write_bytes(picture)
