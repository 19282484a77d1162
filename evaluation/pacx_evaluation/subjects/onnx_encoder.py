"""Any ONNX file with an image input."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacx.errors import ExtraMissing, SubjectError
from pacx.preprocessing import PreprocessingSpec
from pacx_evaluation.subjects.encoder import Embeddings, LocalEncoder, file_sha256, identity_of

if TYPE_CHECKING:
    import onnxruntime

_DESCRIPTION = "ONNX file; input as ImageNet-normalised pixels, squashed to a square."


def from_onnx(path: Path, name: str) -> LocalEncoder:
    """Use a graph's embedding: an output ``[N, D]``, or the first token of one ``[N, T, D]``.

    Raises:
        SubjectError: No graph, no square image input, or no output that is an embedding.
        ExtraMissing: ONNX Runtime is not installed.
    """
    session = _session(path)
    channels, size = _image_input(session)
    output, fixed = _embedding_output(session), session.get_inputs()[0].shape[0] == 1

    def run(pixels: NDArray[np.float32]) -> Embeddings:
        batches = np.split(pixels, len(pixels)) if fixed else [pixels]
        parts = [_run(session, output, batch[:, :channels]) for batch in batches]
        return np.concatenate(parts)

    spec = PreprocessingSpec(size=size)
    identity = identity_of(
        name,
        "onnx",
        file_sha256(path),
        spec,
        engine="onnxruntime cpu f32",
        description=_DESCRIPTION,
    )
    return LocalEncoder(identity=identity, spec=spec, run=run)


def _runtime() -> ModuleType:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise ExtraMissing('ONNX Runtime is not installed: pip install "pacx[cpu]".') from error


def _session(path: Path) -> onnxruntime.InferenceSession:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no base class of their own.
        raise SubjectError("ONNX Runtime cannot open the graph.") from error


def _image_input(session: onnxruntime.InferenceSession) -> tuple[int, int]:
    """Channels and side of the only input."""
    inputs = session.get_inputs()
    shape: list[object] = inputs[0].shape if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] not in (1, 3) or inputs[0].type != "tensor(float)":
        raise SubjectError("The graph needs one float32 input [N, 1 or 3, side, side].")
    channels, rows, columns = shape[1:]
    if not isinstance(channels, int) or not isinstance(rows, int) or rows != columns:
        raise SubjectError("The graph's image input needs a fixed, square size.")
    return channels, rows


def _embedding_output(session: onnxruntime.InferenceSession) -> str:
    outputs = {output.name: len(output.shape) for output in session.get_outputs()}
    if outputs.get("embedding") == 2:
        return "embedding"
    for axes in (2, 3):
        found = [name for name, length in outputs.items() if length == axes]
        if found:
            return str(found[0])
    raise SubjectError("The graph has no output of the shape [N, D] or [N, tokens, D].")


def _run(
    session: onnxruntime.InferenceSession, output: str, pixels: NDArray[np.float32]
) -> Embeddings:
    name = session.get_inputs()[0].name
    values = session.run([output], {name: np.ascontiguousarray(pixels)})[0]
    embedding: Embeddings = values if values.ndim == 2 else values[:, 0]
    return embedding.astype(np.float32, copy=False)
