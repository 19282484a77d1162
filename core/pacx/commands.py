"""``pacx predict``, ``pacx embed`` and ``pacx doctor``: the model in this process, on files."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from pacx import embeddings
from pacx.engine_options import DeviceOption, EngineOption
from pacx.errors import InputError, MalformedImage, MalformedRequest, PacxError
from pacx.model import Model, load
from pacx.outputs import check_output
from pacx.reading import read
from pacx.results import Prediction

Answer = TypeVar("Answer")
Files = Annotated[
    list[Path], typer.Argument(exists=True, help="Radiographs, or folders of radiographs.")
]
BundleOption = Annotated[
    str | None, typer.Option("--bundle", help="A bundle's folder; without it, the bundled model.")
]

_results = Console()
_progress = Console(stderr=True)


def predict(
    files: Files,
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Findings of radiographs, in this process, without a server. Not for clinical use."""
    paths = _radiographs(files)
    model = load(bundle, engine=engine, device=device)
    failed = False
    for path, answer in _each(paths, model.predict):
        if isinstance(answer, PacxError):
            failed = True
        elif as_json:
            typer.echo(json.dumps(_as_json(path, answer, model)))
        else:
            _results.print(_findings_table(path, answer, model))
            if answer.values:
                _results.print(_values_table(answer))
    raise typer.Exit(code=int(failed))


def embed(
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="out.npy or out.parquet")],
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "cpu",
) -> None:
    """Embeddings of radiographs, with the model that made them, as .npy or .parquet."""
    check_output(output, ".npy", ".parquet")
    paths = _radiographs(files)
    model = load(bundle, engine=engine, device=device)
    answers = list(_each(paths, model.embed))
    rows = [(path, answer) for path, answer in answers if not isinstance(answer, PacxError)]
    if rows:
        table = embeddings.EmbeddingTable(
            np.concatenate([row for _, row in rows]),
            tuple(str(path) for path, _ in rows),
            embeddings.Origin.of(model),
        )
        embeddings.write(table, output)
        _progress.print(f"{len(rows)} of {len(paths)} radiographs -> {escape(str(output))}")
    raise typer.Exit(code=int(len(rows) < len(paths)))


def doctor(
    files: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, help="Files or folders: which decoder serves each of them."),
    ] = None,
) -> None:
    """What this installation can read and run, and which decoder serves a file."""
    from pacx.engines import available_engines
    from pacx.reading import available_decoders

    if files:
        _results.print(_decoders_table(_radiographs(files)))
        return
    table = Table(
        "part", "state", title=f"PaCX {version('pacx')}, Python {platform.python_version()}"
    )
    for name, state in available_engines().items():
        table.add_row(f"engine {name}", state)
    for decoder in available_decoders():
        table.add_row(decoder.name, decoder.library)
    for package in ("fastapi", "torch", "pyarrow"):
        table.add_row(f"package {package}", _installed(package))
    _results.print(table)


def _decoders_table(paths: list[Path]) -> Table:
    table = Table("file", "decoder")
    for path in paths:
        try:
            served = read(path).decoder or "-"
        except (InputError, OSError) as error:
            served = error.code if isinstance(error, InputError) else "cannot be opened"
        table.add_row(escape(str(path)), served)
    return table


def _radiographs(paths: list[Path]) -> list[Path]:
    """The files that were named, and all below the folders that were."""
    found = [file for path in paths for file in (_files_of(path) if path.is_dir() else [path])]
    if not found:
        raise MalformedRequest("There is no file in what was named.")
    return found


def _files_of(folder: Path) -> list[Path]:
    below = sorted(folder.rglob("*"))
    return [path for path in below if path.is_file() and not path.name.startswith(".")]


def _each(
    paths: list[Path], ask: Callable[[Path], Answer]
) -> Iterator[tuple[Path, Answer | PacxError]]:
    """Ask for every file; one that cannot be used is reported and does not stop the others."""
    for path in track(paths, "Reading", console=_progress, disable=len(paths) < 2, transient=True):
        try:
            yield path, ask(path)
        except (InputError, OSError) as error:
            yield path, _reported(path, error)


def _reported(path: Path, error: InputError | OSError) -> PacxError:
    problem = MalformedImage("The file cannot be opened.") if isinstance(error, OSError) else error
    line = f"{escape(str(path))}: {problem.code}: {problem.detail}"
    _progress.print(line, style="red", highlight=False)
    return problem


def _findings_table(path: Path, prediction: Prediction, model: Model) -> Table:
    title = f"{escape(str(path))}  ({model.manifest.name} {model.manifest.version})"
    table = Table("finding", "group", "probability", "threshold", "positive", title=title)
    for finding in prediction.findings:
        table.add_row(
            finding.label + (" (simulated)" if finding.simulated else ""),
            finding.group,
            f"{finding.probability:.3f}",
            f"{finding.threshold:.3f}",
            "yes" if finding.positive else "no",
        )
    table.caption = "Research demonstration, not for clinical use."
    return table


def _values_table(prediction: Prediction) -> Table:
    table = Table("value", "group", "estimate", "95 % of left-out patients", "unit")
    for value in prediction.values:
        table.add_row(
            value.label + (" (simulated)" if value.simulated else ""),
            value.group,
            _rounded(value.value),
            f"{_rounded(value.low)} to {_rounded(value.high)}",
            value.unit or "",
        )
    return table


def _rounded(number: float) -> str:
    """Three significant digits."""
    return f"{float(f'{number:.3g}'):,g}"


def _as_json(path: Path, prediction: Prediction, model: Model) -> dict[str, object]:
    identity = {
        "name": model.manifest.name,
        "version": model.manifest.version,
        "sha256": model.sha256,
        "engine": model.engine.name,
        "precision": model.engine.precision,
        "simulated_physiology": model.manifest.simulated_physiology,
    }
    return {
        "file": str(path),
        "model": identity,
        "findings": [asdict(finding) for finding in prediction.findings],
        "values": [asdict(value) for value in prediction.values],
    }


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
