"""Integer graphs for ONNX Runtime: the weights of matrix products alone are quantised."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

from pacx.engines.protocol import Tensor

BLOCK = 32


def dynamic(source: Path, target: Path, pixel_values: Tensor) -> None:
    """Quantise weights per output channel, and activations per tensor at run time."""
    del pixel_values
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
    )


def blockwise(source: Path, target: Path, pixel_values: Tensor) -> None:
    """Quantise weights and activations in blocks: slower, and several times closer."""
    del pixel_values
    config = DefaultWeightOnlyQuantConfig(
        block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=8
    )
    quantiser = MatMulNBitsQuantizer(onnx.load(source), bits=8, algo_config=config)
    quantiser.process()
    quantiser.model.save_model_to_file(str(target), False)
