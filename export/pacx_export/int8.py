"""Integer variants for ONNX Runtime, added to a bundle only if they decide as it does.

Two recipes, the fastest first. Both quantise the weights of matrix products alone:

- dynamic: int8 weights per output channel, activations per tensor at run time;
- blockwise: int8 weights and activations in blocks of 32, slower and several times closer.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)
from onnxscript.optimizer import fold_constants

from pacx.bundle import Bundle, open_bundle, staging, write_manifest
from pacx.engines import open_ungated
from pacx.engines.onnxruntime import INT8
from pacx.engines.protocol import Tensor
from pacx.errors import BundleError
from pacx.manifest import GraphName
from pacx.model_card import CARD
from pacx_export.card import model_card
from pacx_export.pictures import verification_pictures
from pacx_export.verification import (
    FILE,
    GraphParity,
    Verification,
    compare_graph,
    engine_outputs,
)

Quantiser: TypeAlias = Callable[[Path, Path], None]
GRAPHS: tuple[GraphName, ...] = ("encode", "predict")
BLOCK = 32


def export_int8(bundle: Bundle, directory: Path, films: Path | None = None) -> Bundle:
    """Write a copy of a bundle with the fastest integer variant that passes its gate.

    Args:
        bundle: Stays as it is.
        directory: Of the copy, to be made.
        films: A folder of real radiographs to prove it on, besides phantoms.

    Raises:
        BundleError: No recipe passes, or ``directory`` exists; nothing is written.
        CohortError: There are too few films.
    """
    pictures = np.concatenate(list(verification_pictures(films, bundle.manifest.input).values()))
    wanted = {graph: _exact(bundle, graph, pictures) for graph in GRAPHS}
    with staging(directory) as folder:
        shutil.copytree(bundle.directory, folder, dirs_exist_ok=True)
        results = _first_that_passes(bundle, folder, pictures, wanted)
        _write_report(bundle, folder, results)
        write_manifest(folder, bundle.manifest)
    return open_bundle(directory)


def _exact(bundle: Bundle, graph: GraphName, pictures: Tensor) -> dict[str, Tensor]:
    engine = open_ungated(bundle, "onnxruntime", precision="f32")
    return engine_outputs(bundle, engine, graph, pictures)


def _first_that_passes(
    bundle: Bundle,
    folder: Path,
    pictures: Tensor,
    wanted: dict[GraphName, dict[str, Tensor]],
) -> tuple[GraphParity, ...]:
    refusals: list[str] = []
    for quantise in (_dynamic, _blockwise):
        _write_graphs(bundle, folder, quantise)
        made = write_manifest(folder, bundle.manifest)
        engine = open_ungated(made, "onnxruntime", precision="int8")
        results = tuple(
            compare_graph(made, engine, graph, pictures, wanted[graph]) for graph in GRAPHS
        )
        engine.close()
        if all(result.passed for result in results):
            return results
        refusals += [str(result) for result in results if not result.passed]
    raise BundleError("No integer variant passes. " + " ".join(refusals))


def _write_graphs(bundle: Bundle, folder: Path, quantise: Quantiser) -> None:
    (folder / INT8).mkdir(exist_ok=True)
    for graph in GRAPHS:
        file = bundle.manifest.graphs[graph].file
        with tempfile.TemporaryDirectory() as scratch, _quiet():
            folded = Path(scratch) / file
            _fold(bundle.path(file), folded)
            quantise(folded, folder / INT8 / file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantisers' chatter about every tensor from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _fold(source: Path, target: Path) -> None:
    """Put the weights into the graph as float32 constants, where quantisers look for them."""
    model = ir.load(source)
    ir.external_data.load_to_model(model)
    fold_constants(model, input_size_limit=2**31, output_size_limit=2**31)
    LiftConstantsToInitializersPass(lift_all_constants=False)(model)
    RemoveUnusedNodesPass()(model)
    ir.save(model, target)


def _dynamic(source: Path, target: Path) -> None:
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
    )


def _blockwise(source: Path, target: Path) -> None:
    config = DefaultWeightOnlyQuantConfig(
        block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=8
    )
    quantiser = MatMulNBitsQuantizer(onnx.load(source), bits=8, algo_config=config)
    quantiser.process()
    quantiser.model.save_model_to_file(str(target), False)


def _write_report(bundle: Bundle, folder: Path, results: Iterable[GraphParity]) -> None:
    report = Verification.model_validate_json((folder / FILE).read_bytes())
    whole = report.model_copy(update={"results": (*report.results, *results)})
    (folder / FILE).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
    card = model_card(bundle.manifest, map(str, whole.results))
    (folder / CARD).write_text(card, encoding="utf-8")
