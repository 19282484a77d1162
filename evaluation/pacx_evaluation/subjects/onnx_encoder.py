"""Any ONNX file with an image input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacx.embeddings import preprocessing_sha256
from pacx.errors import ExtraMissing, SubjectError
from pacx_evaluation.subjects.encoder import Embeddings, LocalEncoder, file_sha256, identity_of
from pacx_evaluation.subjects.onnx_input import ImageInput, image_input, read_told

if TYPE_CHECKING:
    import onnxruntime


def from_onnx(path: Path, name: str) -> LocalEncoder:
    """Use a graph's embedding: an output ``[N, D]``, or the first token of one ``[N, T, D]``.

    Raises:
        SubjectError: No graph, no image input, no output that is an embedding, or the graph does
            not say how it wants its films, and nor does ``NAME.input.json`` beside it.
        ExtraMissing: ONNX Runtime is not installed.
    """
    session = _session(path)
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise SubjectError(f"The graph has {len(inputs)} inputs; it needs one, a picture.")
    wanted = image_input(inputs[0].type, inputs[0].shape, read_told(path))
    graph = _Graph(session=session, wanted=wanted, output=_embedding_output(session))
    graph.try_out()
    identity = identity_of(
        name,
        "onnx",
        file_sha256(path),
        wanted.spec,
        engine="onnxruntime cpu f32",
        description=_description(wanted),
    )
    facts = {"preprocessing_sha256": _preprocessing_sha256(wanted)}
    return LocalEncoder(
        identity=identity.model_copy(update=facts), spec=wanted.spec, run=graph.embed
    )


def _description(wanted: ImageInput) -> str:
    mean, std = (
        ", ".join(f"{value:.4g}" for value in values[: wanted.channels])
        for values in (wanted.spec.mean, wanted.spec.std)
    )
    return (
        f"ONNX file; input {wanted}, grey levels in 0 to 1 less mean {mean} over std {std}, "
        "squashed to a square."
    )


def _preprocessing_sha256(wanted: ImageInput) -> str:
    """Also of how the pixels are laid out, which the graph may leave open."""
    return hashlib.sha256(f"{preprocessing_sha256(wanted.spec)} {wanted}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """A session with the one input and the one output that are used."""

    session: onnxruntime.InferenceSession
    wanted: ImageInput
    output: str

    def try_out(self) -> None:
        """Embed nothing, to see that the graph takes what it is given."""
        size = self.wanted.spec.size
        try:
            self.embed(np.zeros((1, 3, size, size), dtype=np.float32))
        except Exception as error:  # ONNX Runtime's exceptions have no base class of their own.
            raise SubjectError(f"The graph does not run on {self.wanted}.") from error

    def embed(self, pixels: NDArray[np.float32]) -> Embeddings:
        """Embeddings ``[N, D]`` of normalised pixels ``[N, 3, S, S]``."""
        size = self.wanted.batch or len(pixels)
        starts = range(0, len(pixels), size)
        return np.concatenate([self._embed(pixels[start : start + size]) for start in starts])

    def _embed(self, pixels: NDArray[np.float32]) -> Embeddings:
        """One batch; one that is too small for the graph is filled up with its last film."""
        missing = (self.wanted.batch or len(pixels)) - len(pixels)
        full = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)), mode="edge")
        name = self.session.get_inputs()[0].name
        values = self.session.run([self.output], {name: self.wanted.arranged(full)})[0]
        embedding: Embeddings = values if values.ndim == 2 else values[:, 0]
        return embedding[: len(pixels)].astype(np.float32, copy=False)


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


def _embedding_output(session: onnxruntime.InferenceSession) -> str:
    outputs = {output.name: len(output.shape) for output in session.get_outputs()}
    if outputs.get("embedding") == 2:
        return "embedding"
    for axes in (2, 3):
        found = [name for name, length in outputs.items() if length == axes]
        if found:
            return str(found[0])
    raise SubjectError("The graph has no output of the shape [N, D] or [N, tokens, D].")
