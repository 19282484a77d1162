"""A bundle with a hospital's own calibration, as a new version with its provenance."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pacx.bundle import HEADS, Bundle, copied, open_bundle, write_manifest
from pacx.engines.base import INT8
from pacx.engines.plans import FOLDER
from pacx.manifest import FindingSpec, HeadSpec, Manifest, Source
from pacx.model_card import CARD, carrying, with_section
from pacx_evaluation.benchmarks import Benchmark
from pacx_evaluation.local_fit import LocalFit
from pacx_export.card import bullets, model_card
from pacx_export.verification_report import proved
from pacx_training.provenance import extended

STEP = "pacx calibrate"
HEADING = "Calibrated on local films"
LIMITATION = (
    f"Probabilities are for the prevalences that the card states under '{HEADING}'; where it "
    "states none, they keep the prior that the model came with."
)
_ENGINES = (
    "The engines were proved before; since then nothing has changed but temperatures, thresholds "
    "and biases of heads. Decisions were counted at the former thresholds. Where a prevalence was "
    "stated, integer variants and TensorRT engines are left out: they hold biases of their own."
)
HEADER_LENGTH_BYTES = 8
"""A safetensors file starts with the length of its JSON header, little endian."""


def write_calibrated(
    bundle: Bundle, fits: tuple[LocalFit, ...], benchmark: Benchmark, directory: Path, version: str
) -> Bundle:
    """Write the new version beside the old one, in one rename.

    Raises:
        BundleError: ``directory`` exists, or the result is no valid bundle.
    """
    by_label = {fit.label: fit for fit in fits}
    manifest = _calibrated(bundle.manifest, by_label, benchmark, version)
    with copied(bundle, directory) as folder:
        _shift(folder, bundle.manifest, by_label)
        facts = [fit.model_dump() for fit in fits]
        (folder / "calibration.json").write_text(json.dumps(facts, indent=2) + "\n")
        _write_card(folder, manifest, fits)
        write_manifest(folder, manifest)
    return open_bundle(directory)


def trained_at(fit: LocalFit) -> str:
    """The prevalence that a head learnt from, with its counts, or that it is not recorded."""
    if fit.training_prevalence is None:
        return "not recorded"
    return f"{fit.training_prevalence:.3f} ({fit.training_positives} of {fit.training_films} films)"


def _write_card(folder: Path, manifest: Manifest, fits: tuple[LocalFit, ...]) -> None:
    """Replace ``README.md`` by a card that states the local fit and keeps what others added."""
    path, parity = folder / CARD, proved(folder)
    lines = [*map(_card_line, fits), *[_ENGINES] * bool(parity)]
    fresh = with_section(model_card(manifest, parity), HEADING, bullets(lines))
    path.write_text(carrying(fresh, path.read_text(encoding="utf-8")), encoding="utf-8")


def _card_line(fit: LocalFit) -> str:
    """One sentence of the card on one finding."""
    return (
        f"{_step(fit)}. ECE {fit.ece_before:.3f} before, {fit.ece:.3f} after; mean probability "
        f"{fit.mean_probability:.3f} before any correction; all on the films that were fitted on."
    )


def _step(fit: LocalFit) -> str:
    """What was done, with all three prevalences, for the card and for the provenance."""
    meant = (
        f"corrected to a stated prevalence of {fit.corrected_prevalence:.3f}"
        if fit.corrected_prevalence is not None
        else "not corrected for prevalence"
    )
    return (
        f"{fit.label}: trained at a prevalence of {trained_at(fit)}, fitted at "
        f"{fit.local_prevalence:.3f} ({fit.positives} of {fit.films} local films), {meant}"
    )


def _calibrated(
    manifest: Manifest, fits: Mapping[str, LocalFit], benchmark: Benchmark, version: str
) -> Manifest:
    heads = tuple(
        HeadSpec.model_validate(
            {**head.model_dump(), "findings": [_finding(f, fits) for f in head.findings]}
        )
        for head in manifest.heads
    )
    source = Source(
        name=benchmark.title,
        use="temperatures and thresholds",
        films=len(benchmark.cohort),
        patients=len(set(benchmark.cohort.patients.tolist())),
        licence="not stated",
        citation=benchmark.credit or "local films",
    )
    return manifest.model_copy(
        update={
            "version": version,
            "created": datetime.now(UTC).date().isoformat(),
            "heads": heads,
            "provenance": extended(
                manifest.provenance,
                f"{STEP}: {'; '.join(_step(fit) for fit in fits.values())}",
                (source,),
                (LIMITATION,),
            ),
        }
    )


def _finding(spec: FindingSpec, fits: Mapping[str, LocalFit]) -> FindingSpec:
    fit = fits.get(spec.label)
    if fit is None:
        return spec
    fitted = {"temperature": fit.temperature, "threshold": fit.threshold, "calibrated": True}
    return spec.model_copy(update=fitted)


def _shift(folder: Path, manifest: Manifest, fits: Mapping[str, LocalFit]) -> None:
    """Move the biases of the heads and the reference outputs that depend on them.

    What was compiled from the old biases is removed.

    A shift s of the log odds after division by the temperature T is a shift of s T of the logit.
    """
    shifts = [
        fits[f.label].log_odds_shift * fits[f.label].temperature if f.label in fits else 0.0
        for f in manifest.findings
    ]
    shifts += [0.0] * len(manifest.values)
    if not any(shifts):
        return
    for built in (INT8, FOLDER):  # they hold biases of their own
        shutil.rmtree(folder / built, ignore_errors=True)
    _edit(folder / HEADS, _moved_biases(folder, manifest, shifts))
    reference = folder / manifest.reference.file
    tensors = load_file(reference)
    moved = {
        key: (value + np.array(shifts, np.float32)).astype(np.float32)
        for key, value in tensors.items()
        if key.endswith(".output.logits")
    }
    _edit(reference, moved)


def _moved_biases(
    folder: Path, manifest: Manifest, shifts: list[float]
) -> dict[str, NDArray[np.float32]]:
    tensors, moved, start = load_file(folder / HEADS), {}, 0
    for head in manifest.heads:
        key, stop = f"heads.{head.name}.bias", start + len(head.labels)
        moved[key] = tensors[key] + np.array(shifts[start:stop], dtype=np.float32)
        start = stop
    return moved


def _edit(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Overwrite float32 tensors of a safetensors file in place.

    No byte moves, so that graphs that point into the file stay right.
    """
    content = bytearray(path.read_bytes())
    start = HEADER_LENGTH_BYTES + int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    header = json.loads(content[HEADER_LENGTH_BYTES:start])
    for key, value in tensors.items():
        first, last = header[key]["data_offsets"]
        content[start + first : start + last] = value.astype("<f4").tobytes()
    path.write_bytes(bytes(content))
