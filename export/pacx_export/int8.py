"""Integer variants, added to a bundle only if they decide as it does.

Every engine has recipes, the fastest first, and gets the first that passes its gate.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import onnx_ir as ir

from pacx.bundle import Bundle, open_bundle, write_manifest
from pacx.engines import EngineName, open_ungated
from pacx.engines.base import INT8
from pacx.engines.protocol import Tensor
from pacx.errors import BundleError
from pacx.manifest import GraphName
from pacx.preprocessing import normalise
from pacx_export import int8_onnxruntime, int8_openvino
from pacx_export.additions import adding
from pacx_export.int8_recipe import Recipe
from pacx_export.pictures import calibration_pictures, counts, verification_pictures
from pacx_export.typed import folded
from pacx_export.verification import compare_graph, engine_outputs
from pacx_export.verification_report import GraphParity, IntegerPictures, add_results

GRAPHS: tuple[GraphName, ...] = ("encode", "predict")
RECIPES: Mapping[EngineName, Sequence[Recipe]] = {
    "onnxruntime": (int8_onnxruntime.dynamic, int8_onnxruntime.blockwise),
    "openvino": (int8_openvino.calibrated, int8_openvino.weight_only),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Trial:
    """A bundle, what it answers in float32, and the pictures for its variants.

    Attributes:
        bundle: Whose graphs are quantised.
        folder: A copy of it, which gets the variants.
        proof: float32 ``[N, S, S]``: what a variant is proved on.
        wanted: What the graphs answer to these in float32.
        calibration: float32 ``[M, 3, S, S]``: what ranges of activations are taken from.
        pictures: How many of each kind these are.
    """

    bundle: Bundle
    folder: Path
    proof: Tensor
    wanted: Mapping[GraphName, Mapping[str, Tensor]]
    calibration: Tensor
    pictures: IntegerPictures


def export_int8(bundle: Bundle, directory: Path | None, films: Path | None = None) -> Bundle:
    """Add for every engine the fastest integer variant that passes its gate to a bundle.

    Variants that the bundle had are left out.

    Args:
        bundle: Whose graphs to quantise.
        directory: Of a copy, to be made; None adds to the bundle itself.
        films: A folder of real radiographs to calibrate and to prove on, besides phantoms; the
            report and the card say so where there were none.

    Raises:
        BundleError: No recipe of any engine passes, ``directory`` exists, or the bundle cannot be
            added to; nothing is written.
        CohortError: There are too few films.
    """
    place = directory or bundle.directory.resolve()
    with adding(bundle, directory) as folder:
        shutil.rmtree(folder / INT8, ignore_errors=True)
        trial = _trial(bundle, folder, films)
        refusals: list[str] = []
        results = [
            result for engine in RECIPES for result in _first_that_passes(trial, engine, refusals)
        ]
        if not results:
            raise BundleError("No integer variant passes. " + " ".join(refusals))
        add_results(folder, results, trial.pictures)
        write_manifest(folder, bundle.manifest)
    return open_bundle(place)


def _trial(bundle: Bundle, folder: Path, films: Path | None) -> _Trial:
    spec = bundle.manifest.input
    proving, calibrating = verification_pictures(films, spec), calibration_pictures(films, spec)
    proof = np.concatenate([*proving.values()])
    exact = open_ungated(bundle, "onnxruntime", precision="f32")
    wanted = {graph: engine_outputs(bundle, exact, graph, proof) for graph in GRAPHS}
    exact.close()
    return _Trial(
        bundle=bundle,
        folder=folder,
        proof=proof,
        wanted=wanted,
        calibration=normalise(np.concatenate([*calibrating.values()]), spec),
        pictures=IntegerPictures(calibrated_on=counts(calibrating), proved_on=counts(proving)),
    )


def _first_that_passes(
    trial: _Trial, engine: EngineName, refusals: list[str]
) -> tuple[GraphParity, ...]:
    """Leave the first variant in the folder, or none."""
    for recipe in RECIPES[engine]:
        written = write_integers(trial.bundle, trial.folder, recipe, trial.calibration)
        results = _compare(trial, engine)
        if all(result.passed for result in results):
            return results
        refusals += [str(result) for result in results if not result.passed]
        for file in written:
            file.unlink()
    return ()


def write_integers(bundle: Bundle, folder: Path, recipe: Recipe, calibration: Tensor) -> set[Path]:
    """Write the integer graphs of one recipe, of which nothing is proved yet.

    Args:
        bundle: Whose graphs to quantise.
        folder: A copy of it.
        recipe: One of ``RECIPES``.
        calibration: float32 ``[M, 3, S, S]``, to take ranges of activations from.

    Returns:
        The files that are new.
    """
    target = folder / INT8
    target.mkdir(exist_ok=True)
    before = set(target.iterdir())
    for graph in GRAPHS:
        file = bundle.manifest.graphs[graph].file
        with tempfile.TemporaryDirectory() as scratch, _quiet():
            source = Path(scratch) / file
            ir.save(folded(bundle.path(file)), source)
            recipe(source, target / file, calibration)
    return set(target.iterdir()) - before


def _compare(trial: _Trial, engine: EngineName) -> tuple[GraphParity, ...]:
    made = write_manifest(trial.folder, trial.bundle.manifest)
    opened = open_ungated(made, engine, precision="int8")
    results = tuple(
        compare_graph(made, opened, graph, trial.proof, trial.wanted[graph]) for graph in GRAPHS
    )
    opened.close()
    return results


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantisers' chatter about every tensor from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)
