"""What every engine offers: running a bundle's graphs by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pacx.explanations import EngineMethod

Tensor = NDArray[np.float32]
Precision = Literal["f32", "bf16", "f16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
EngineName = Literal["openvino", "onnxruntime", "tensorrt", "triton"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
EngineChoice = Literal["auto", EngineName]
"""What a server may be told to serve with."""


class Engine(Protocol):
    """Runs the graphs of one bundle on one device; safe to call from several threads."""

    name: str
    precision: Precision
    device: str

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph.

        Args:
            graph: ``encode``, ``predict`` or ``explain``.
            inputs: Named float32 tensors as the manifest's ``graphs`` say.

        Returns:
            Every output of the graph by name, as float32.

        Raises:
            EngineError: The graph is not offered or the engine failed.
            NonFiniteOutput: An output holds NaN or infinity.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds; later calls of ``run`` fail."""
        ...


@runtime_checkable
class Explaining(Protocol):
    """What an engine may have besides: methods of explanation that no graph offers, by name."""

    explanations: Mapping[str, EngineMethod]


def methods_of(engine: Engine) -> Mapping[str, EngineMethod]:
    """The methods of explanation that only this engine has; most have none."""
    return engine.explanations if isinstance(engine, Explaining) else {}
