"""``pacx explain``: an overlay of one radiograph, in this process, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pacx.model import load
from pacx.outputs import check_output
from pacx.reading import read
from pacx_server.rendering import render_overlay, to_display


def explain(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A radiograph.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The overlay, a .png file.")],
    method: Annotated[str, typer.Option(help="How the map is made.")] = "rollout",
    target: Annotated[str | None, typer.Option(help="Finding that the map explains.")] = None,
    versus: Annotated[
        str | None, typer.Option(help="Finding that the target is compared with.")
    ] = None,
    bundle: Annotated[str | None, typer.Option(help="A bundle's folder.")] = None,
    engine: Annotated[str, typer.Option(help="auto, openvino or onnxruntime.")] = "auto",
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the heat map.")] = 0.5,
) -> None:
    """An overlay on the original picture that shows where the model looked."""
    check_output(output, ".png")
    model = load(bundle, engine=engine)
    radiograph = read(file)
    explanation = model.explain(radiograph, method=method, target=target, versus=versus)
    compared = versus and f"against {versus}"
    parts = (model.manifest.name, explanation.method, explanation.target, compared)
    title = " · ".join(filter(None, parts))
    picture = render_overlay(
        to_display(radiograph.pixels),
        explanation.grid,
        explanation.geometry,
        opacity=opacity,
        title=title,
    )
    output.write_bytes(picture)
