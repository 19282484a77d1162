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
from rich.progress import track
from rich.table import Table

from pacx import embeddings
from pacx.errors import InputError, MalformedRequest, PacxError
from pacx.model import Model, load
from pacx.results import Prediction

Answer = TypeVar("Answer")
Files = Annotated[
    list[Path], typer.Argument(exists=True, help="Radiographs, or folders of radiographs.")
]
BundleOption = Annotated[
    str | None, typer.Option("--bundle", help="A bundle's folder; without it, the bundled model.")
]
EngineOption = Annotated[str, typer.Option("--engine", help="auto, openvino or onnxruntime.")]

_results = Console()
_progress = Console(stderr=True)


def predict(
    files: Files,
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Findings of radiographs, in this process, without a server. Not for clinical use."""
    model = load(bundle, engine=engine)
    failed = False
    for path, answer in _each(list(_radiographs(files)), model.predict):
        if isinstance(answer, PacxError):
            failed = True
        elif as_json:
            typer.echo(json.dumps(_as_json(path, answer, model)))
        else:
            _results.print(_findings_table(path, answer, model))
    raise typer.Exit(code=int(failed))


def embed(
    files: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="out.npy or out.parquet")],
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
) -> None:
    """Embeddings of radiographs, with the model that made them, as .npy or .parquet."""
    if output.suffix not in {".npy", ".parquet"}:
        raise MalformedRequest("Embeddings are written as .npy or .parquet.")
    model = load(bundle, engine=engine)
    paths = list(_radiographs(files))
    answers = list(_each(paths, model.embed))
    rows = [(path, answer) for path, answer in answers if not isinstance(answer, PacxError)]
    if rows:
        table = embeddings.EmbeddingTable(
            np.concatenate([row for _, row in rows]),
            tuple(str(path) for path, _ in rows),
            embeddings.Origin.of(model),
        )
        embeddings.write(table, output)
        _progress.print(f"{len(rows)} of {len(paths)} radiographs -> {output}")
    raise typer.Exit(code=int(len(rows) < len(paths)))


def doctor() -> None:
    """What this installation can read and run."""
    from pacx.engines import available_engines
    from pacx.reading import available_decoders

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


def _radiographs(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for found in sorted(path.rglob("*")):
            if found.is_file() and not found.name.startswith("."):
                yield found


def _each(
    paths: list[Path], ask: Callable[[Path], Answer]
) -> Iterator[tuple[Path, Answer | PacxError]]:
    """Ask for every file; one that cannot be used is reported and does not stop the others."""
    for path in track(paths, "Reading", console=_progress, disable=len(paths) < 2, transient=True):
        try:
            yield path, ask(path)
        except InputError as error:
            _progress.print(f"{path}: {error.code}: {error.detail}", style="red", highlight=False)
            yield path, error


def _findings_table(path: Path, prediction: Prediction, model: Model) -> Table:
    title = f"{path.name}  ({model.manifest.name} {model.manifest.version})"
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


def _as_json(path: Path, prediction: Prediction, model: Model) -> dict[str, object]:
    identity = {
        "name": model.manifest.name,
        "version": model.manifest.version,
        "sha256": model.sha256,
        "engine": model.engine.name,
        "precision": model.engine.precision,
        "simulated_physiology": model.manifest.simulated_physiology,
    }
    findings = [asdict(finding) for finding in prediction.findings]
    return {"file": str(path), "model": identity, "findings": findings}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
