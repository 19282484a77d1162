"""What half precision does to a graph's answers, measured where no processor computes in it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
import onnxruntime

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine, Runner
from pacx.engines.protocol import Tensor
from pacx.manifest import GraphSpec
from pacx_export.typed import Arithmetic, typed


class EmulatedEngine(GraphEngine):
    """Rounds in and out of every product as an engine of a precision does; sums in float32.

    Tensor cores multiply in half precision and sum in float32 too, so this is what they compute up
    to the order of the sums. It says nothing about faults of an engine itself.
    """

    def __init__(self, bundle: Bundle, *, name: str, precision: Arithmetic) -> None:
        self.name = name
        self._arithmetic: Arithmetic = precision
        super().__init__(bundle, precision=precision, device="cpu")

    def load(self, spec: GraphSpec) -> Runner:
        """Open the rounded graph in ONNX Runtime."""
        model = typed(self.bundle.path(spec.file), self._arithmetic, emulated=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        content = ir.serde.serialize_model(model).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        names = [tensor.name for tensor in spec.outputs]

        def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))

        return run
