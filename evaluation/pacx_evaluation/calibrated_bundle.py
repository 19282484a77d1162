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

from pacx.bundle import HEADS, Bundle, open_bundle, staging, write_manifest
from pacx.manifest import FindingSpec, HeadSpec, Manifest, Source
from pacx_evaluation.benchmarks import Benchmark
from pacx_evaluation.local_fit import LocalFit
from pacx_export.card import model_card
from pacx_training.provenance import extended

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
    with staging(directory) as folder:
        shutil.copytree(bundle.directory, folder, dirs_exist_ok=True)
        _shift(folder, bundle.manifest, by_label)
        facts = [fit.model_dump() for fit in fits]
        (folder / "calibration.json").write_text(json.dumps(facts, indent=2) + "\n")
        _write_card(folder, manifest, fits)
        write_manifest(folder, manifest)
    return open_bundle(directory)


def _write_card(folder: Path, manifest: Manifest, fits: tuple[LocalFit, ...]) -> None:
    """Replace ``README.md`` by a card that states the local fit."""
    lines = [f"- {_sentence(fit)}" for fit in fits]
    text = model_card(manifest) + "\n## Calibrated on local films\n\n" + "\n".join(lines) + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def _sentence(fit: LocalFit) -> str:
    prior = ""
    if fit.corrected_prevalence is not None:
        prior = f"; probabilities are for a prevalence of {fit.corrected_prevalence:.3f}"
    return (
        f"{fit.label}: {fit.positives} of {fit.films} films positive ({fit.local_prevalence:.3f}); "
        f"ECE {fit.ece_before:.3f} before, {fit.ece:.3f} after, on the same films{prior}."
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
            "provenance": extended(manifest.provenance, "pacx calibrate", (source,)),
        }
    )


def _finding(spec: FindingSpec, fits: Mapping[str, LocalFit]) -> FindingSpec:
    fit = fits.get(spec.label)
    if fit is None:
        return spec
    fitted = {"temperature": fit.temperature, "threshold": fit.threshold, "calibrated": True}
    return spec.model_copy(update=fitted)


def _shift(folder: Path, manifest: Manifest, fits: Mapping[str, LocalFit]) -> None:
    """Move the biases of the heads, and the reference outputs that depend on them.

    A shift s of the log odds after division by the temperature T is a shift of s T of the logit.
    """
    shifts = [
        fits[f.label].log_odds_shift * fits[f.label].temperature if f.label in fits else 0.0
        for f in manifest.findings
    ]
    shifts += [0.0] * len(manifest.values)
    if not any(shifts):
        return
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
