"""Integer variants for ONNX Runtime, added to a bundle only if they decide as it does.

Two recipes, the fastest first. Both quantise the weights of matrix products alone:

- dynamic: int8 weights per output channel, activations per tensor at run time;
- blockwise: int8 weights and activations in blocks of 32, slower and several times closer.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

from pacx.bundle import Bundle, open_bundle, write_manifest
from pacx.engines import open_ungated
from pacx.engines.onnxruntime import INT8
from pacx.engines.protocol import Tensor
from pacx.errors import BundleError
from pacx.manifest import GraphName
from pacx_export.additions import adding
from pacx_export.pictures import verification_pictures
from pacx_export.typed import folded
from pacx_export.verification import GraphParity, add_results, compare_graph, engine_outputs

Quantiser: TypeAlias = Callable[[Path, Path], None]
GRAPHS: tuple[GraphName, ...] = ("encode", "predict")
BLOCK = 32


def export_int8(bundle: Bundle, directory: Path | None, films: Path | None = None) -> Bundle:
    """Add the fastest integer variant that passes its gate to a bundle.

    Args:
        bundle: Whose graphs to quantise.
        directory: Of a copy, to be made; None adds to the bundle itself.
        films: A folder of real radiographs to prove it on, besides phantoms.

    Raises:
        BundleError: No recipe passes, ``directory`` exists, or the bundle cannot be added to;
            nothing is written.
        CohortError: There are too few films.
    """
    with adding(bundle, directory) as folder:
        pictures = np.concatenate([*verification_pictures(films, bundle.manifest.input).values()])
        wanted = {graph: _exact(bundle, graph, pictures) for graph in GRAPHS}
        results = _first_that_passes(bundle, folder, pictures, wanted)
        add_results(bundle, folder, results)
        write_manifest(folder, bundle.manifest)
    return open_bundle(directory or bundle.directory)


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
            source = Path(scratch) / file
            ir.save(folded(bundle.path(file)), source)
            quantise(source, folder / INT8 / file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantisers' chatter about every tensor from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


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
