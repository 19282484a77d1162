"""Integer graphs for OpenVINO, through NNCF, in OpenVINO's own format (``.xml`` and ``.bin``)."""

from __future__ import annotations

from pathlib import Path

import nncf
import openvino

from pacx.engines.protocol import Tensor


def calibrated(source: Path, target: Path, pixel_values: Tensor) -> None:
    """Quantise weights and activations, whose ranges the pictures show."""
    integer = nncf.quantize(
        openvino.Core().read_model(source),
        nncf.Dataset([*pixel_values[:, None]], lambda picture: {"pixel_values": picture}),
        subset_size=len(pixel_values),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
    )
    _save(integer, target)


def weight_only(source: Path, target: Path, pixel_values: Tensor) -> None:
    """Quantise weights per channel; products are computed as before, with a quarter to read."""
    del pixel_values
    integer = nncf.compress_weights(
        openvino.Core().read_model(source), mode=nncf.CompressWeightsMode.INT8_SYM
    )
    _save(integer, target)


def _save(model: openvino.Model, target: Path) -> None:
    openvino.save_model(model, target.with_suffix(".xml"), compress_to_fp16=False)
