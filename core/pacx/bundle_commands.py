"""``pacx bundle ...``: look at a bundle, prove it, compare, pack and sign it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pacx import archive, signature
from pacx.bundle import Bundle, open_bundle, resolve
from pacx.comparison import compare_bundles
from pacx.engine_options import ALL_ENGINES, ALL_PRECISIONS, DeviceOption, one_of
from pacx.engines import ENGINES, Engine, open_engine, verify_engine
from pacx.engines.protocol import PRECISIONS
from pacx.errors import BundleError, EngineUnavailable, ExtraMissing
from pacx.evaluated_card import evaluated_card, write_evaluated
from pacx.hub_config import HUB_CONFIG, contradictions
from pacx.manifest import FindingSpec
from pacx.model_card import missing_statements

app = typer.Typer(no_args_is_help=True, help="Inspect and verify model bundles.")
Directory = Annotated[str, typer.Argument(help="A bundle's folder, or the name of a shipped one.")]

_console = Console()


@app.callback()
def bundle() -> None:
    """Inspect and verify model bundles."""


@app.command()
def inspect(
    directory: Directory,
    as_json: Annotated[bool, typer.Option("--json", help="The whole manifest as JSON.")] = False,
) -> None:
    """Say what a bundle holds, what it was made from and how well it did."""
    opened = open_bundle(resolve(directory))
    if as_json:
        typer.echo(opened.manifest.model_dump_json(indent=2))
        return
    _console.print(_facts(opened))
    _console.print(_findings(opened))
    _console.print("Research demonstration, not for clinical use.")


@app.command()
def card(
    directory: Directory,
    report: Annotated[
        list[Path] | None,
        typer.Option(help="A report of pacx evaluate about this bundle, to be added; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a new version of the bundle with this card."),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Of the new bundle, such as 1.0.1; with --output.")
    ] = None,
) -> None:
    """Print the model card of a bundle whose every file was checked."""
    if (output is None) != (version is None):
        raise BundleError("A new version needs both: --output FOLDER and --version 1.0.1.")
    if output is not None and not report:
        raise BundleError("--output writes a card with results: name a report with --report.")
    opened = open_bundle(resolve(directory))
    if output is None or version is None:
        typer.echo(evaluated_card(opened, report or ()), nl=False)
        return
    made = write_evaluated(opened, report or (), output, version)
    _console.print(f"sha256 {made.sha256}", highlight=False)


@app.command()
def verify(
    directory: Directory,
    engine: Annotated[str | None, ALL_ENGINES] = None,
    device: DeviceOption = "cpu",
    precision: Annotated[str | None, ALL_PRECISIONS] = None,
    trusted: Annotated[
        list[str] | None, typer.Option(help="A public key that must have signed it; repeatable.")
    ] = None,
) -> None:
    """Check hashes, schema, shapes, model card and config.json, and replay the reference vectors.

    Fails if anything is damaged or missing, if a graph differs on an engine and precision that
    was named, or if a graph is right nowhere.
    """
    _check_known(engine, ENGINES)
    _check_known(precision, PRECISIONS)
    opened = open_bundle(resolve(directory))
    _console.print(f"{len(opened.manifest.files)} files, schema and shapes: as the manifest says")
    if trusted:
        key = signature.require_signature(opened.directory, trusted)
        _console.print(f"signed by {key}", highlight=False, soft_wrap=True)
    problems = [f"The model card does not state: {what}." for what in missing_statements(opened)]
    problems += [
        f"{HUB_CONFIG} contradicts the manifest: {what}." for what in contradictions(opened)
    ]
    named = engine is not None and precision is not None
    right: set[str] = set()
    for tried in _engines(opened, engine, device, precision):
        for report in verify_engine(opened, tried):
            where = f"{report.graph} on {tried.name} {tried.precision}"
            verdict = "passed" if report.passed else f"not offered: {report.reason}"
            _console.print(f"{where}: {verdict}", highlight=False)
            if report.passed:
                right.add(report.graph)
            elif named:
                problems.append(f"{where} differs.")
        tried.close()
    problems += [
        f"{graph} is right on no engine here." for graph in opened.manifest.graphs.keys() - right
    ]
    for problem in problems:
        _console.print(problem, style="red")
    raise typer.Exit(code=int(bool(problems)))


@app.command()
def diff(
    left: Directory, right: Annotated[str, typer.Argument(help="The bundle to compare it with.")]
) -> None:
    """List what two bundles state differently, and which of their files and tensors differ."""
    found = compare_bundles(open_bundle(resolve(left)), open_bundle(resolve(right)))
    table = Table("where", left, right)
    for item in found:
        table.add_row(item.where, item.left, item.right)
    _console.print(table if found else "No difference.")
    raise typer.Exit(code=int(bool(found)))


@app.command()
def pack(
    directory: Directory,
    output: Annotated[Path, typer.Option("--output", "-o", help="The tar to write.")],
) -> None:
    """Write a bundle as one tar; equal bundles give equal bytes."""
    archive.pack(open_bundle(resolve(directory)), output)


@app.command()
def unpack(
    packed: Annotated[Path, typer.Argument(exists=True, help="A tar that pack wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
) -> None:
    """Unpack a tar and check the bundle; nothing is left behind if it is not one."""
    _console.print(f"sha256 {archive.unpack(packed, output).sha256}", highlight=False)


@app.command()
def sign(
    directory: Directory,
    key: Annotated[Path, typer.Option(exists=True, help="A private Ed25519 key in PEM.")],
) -> None:
    """Sign a bundle; prints the public key, for PACX_TRUSTED_KEYS and verify --trusted."""
    opened = open_bundle(resolve(directory))
    typer.echo(signature.sign(opened.directory, key.read_bytes()))


def _check_known(name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise typer.BadParameter(f"{name} is not one of {one_of(*known)}.")


def _engines(
    opened: Bundle, name: str | None, device: str, precision: str | None
) -> Iterator[Engine]:
    """Every combination that is asked for; one that is not here is an error only if named."""
    for engine in [name] if name else ENGINES:
        # What a remote server computes in only the caller knows; it counts as float32 else.
        wanted = precision or ("f32" if engine == "triton" else None)
        for candidate in PRECISIONS:
            if wanted not in (None, candidate):
                continue
            try:
                yield open_engine(opened, engine, device=device, precision=candidate)
            except (ExtraMissing, EngineUnavailable):
                if name and precision:
                    raise


def _facts(opened: Bundle) -> Table:
    manifest = opened.manifest
    table = Table(title=f"{manifest.name} {manifest.version}", show_header=False)
    table.add_row("sha256", opened.sha256)
    table.add_row("licence", manifest.licence)
    table.add_row("encoder", manifest.encoder.architecture)
    table.add_row("made", manifest.created)
    table.add_row("started from", manifest.provenance.initialisation)
    for source in manifest.provenance.sources:
        table.add_row("source", f"{source.name}: {source.use} ({source.films} films)")
    for teacher in manifest.provenance.teachers:
        names = ", ".join(source.name for source in teacher.sources)
        table.add_row(f"teacher {teacher.modality}", f"{names}; sha256 {teacher.sha256}")
    for step in manifest.provenance.steps:
        table.add_row("step", step)
    for name, graph in manifest.graphs.items():
        outputs = ", ".join(f"{t.name} {list(t.shape)}" for t in graph.outputs)
        table.add_row(f"graph {name}", f"opset {graph.opset}: {outputs}")
    table.add_row("simulated", "yes" if manifest.simulated_physiology else "no")
    table.add_row("bytes", f"{sum(entry.bytes for entry in manifest.files.values()):,}")
    return table


def _findings(opened: Bundle) -> Table:
    table = Table("finding", "group", "training positives", "AUROC on validation", "threshold")
    for finding in opened.manifest.findings:
        table.add_row(
            finding.label,
            finding.group,
            finding.training_counts,
            _auroc(finding),
            f"{finding.threshold:.3f}",
        )
    return table


def _auroc(finding: FindingSpec) -> str:
    area = finding.validation_auroc
    return "-" if area is None else f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})"
