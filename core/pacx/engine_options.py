"""The options of commands that say what runs a model, in the words of the code's own lists."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from pacx.engines.protocol import ENGINES, PRECISIONS
from pacx.engines.variants import DEVICES


def one_of(*names: str) -> str:
    """``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}"


ENGINE = typer.Option("--engine", help=f"{one_of('auto', *ENGINES)}.")
RESEARCH_ENGINE = typer.Option(
    "--engine",
    help=f"{one_of('auto', *ENGINES)}; or torch, which brings captum's methods, for research.",
)
DEVICE = typer.Option(
    "--device", help=f"{', '.join(DEVICES)}, or Triton's address; there is no silent fallback."
)
ALL_ENGINES = typer.Option("--engine", help=f"{one_of(*ENGINES)}; without it, all that are here.")
ALL_PRECISIONS = typer.Option(
    "--precision", help=f"{one_of(*PRECISIONS)}; without it, all that the engine has."
)

EngineOption: TypeAlias = Annotated[str, ENGINE]
DeviceOption: TypeAlias = Annotated[str, DEVICE]
