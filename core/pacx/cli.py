"""The ``pacx`` command.

Each floor adds its own commands through the entry-point group ``pacx.commands``; the module
behind an entry point is imported only when one of its commands is called, so that ``pacx serve``
works where torch is not installed.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any, NoReturn, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from pacx.errors import PacxError

# Typer stands on click, or on a copy of its own, whose classes are others: neither is named here.
Context: TypeAlias = Any
Command: TypeAlias = Any

ENTRY_POINT_GROUP = "pacx.commands"
SUMMARIES = {
    "predict": "Findings of radiographs, in this process, without a server.",
    "embed": "Embeddings of radiographs as .npy or .parquet.",
    "explain": "An overlay that shows where the model looked.",
    "bundle": "Inspect and verify model bundles.",
    "doctor": "What this installation can read and run.",
    "serve": "Start the inference server.",
    "train": "Train the encoder, its teachers and its heads.",
    "import": "Turn a published checkpoint into a run.",
    "simulate": "Write a simulated cohort in Symile's layout.",
    "export": "Turn a run into a verified bundle.",
    "evaluate": "Measure encoders by the paper's protocol.",
    "calibrate": "Fit a bundle's temperatures and thresholds on local films.",
    "drift": "Compare two sets of films as a bundle sees them.",
}


class FloorGroup(TyperGroup):
    """A group whose commands live behind entry points and are loaded when they are called."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, in the order of ``SUMMARIES``, then any others."""
        found = {point.name for point in _points()}
        return [name for name in SUMMARIES if name in found] + sorted(found - SUMMARIES.keys())

    def get_command(self, ctx: Context, cmd_name: str) -> Command:
        """A placeholder with the command's summary; loading is left to ``resolve_command``."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return TyperCommand(cmd_name, help=SUMMARIES.get(cmd_name, ""))

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command, list[str]]:
        """Find the command that was called, and import its floor."""
        name, command, rest = super().resolve_command(ctx, args)
        for point in _points():
            if point.name == name:
                command = _load(point)
        return name, command, rest


def main() -> None:
    """Run the ``pacx`` command.

    An error of ours, or one of the system about a file, ends with one line and exit code 1.
    """
    try:
        app()
    except PacxError as error:
        _end(error.code, error.detail)
    except OSError as error:
        if error.strerror is None:
            raise
        file = error.filename2 or error.filename  # of a rename, what it was to become
        _end("system_error", f"{file}: {error.strerror}." if file else f"{error.strerror}.")


def _end(code: str, detail: str) -> NoReturn:
    Console(stderr=True).print(f"[red]{code}[/red]: {escape(detail)}", highlight=False)
    sys.exit(1)


app = typer.Typer(
    cls=FloorGroup,
    name="pacx",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("pacx"))
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Chest X-ray embeddings, findings and attention maps. Not for clinical use."""


def _points() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)


def _load(point: EntryPoint) -> Command:
    target: Any = point.load()
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(pretty_exceptions_enable=False)
    single.command(name=point.name)(target)
    return typer.main.get_command(single)
