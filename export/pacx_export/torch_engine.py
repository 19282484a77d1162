"""The engine ``torch``, for research: the modules that become graphs, run by torch itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine, Runner, graph_name
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError, EngineUnavailable
from pacx.manifest import GraphSpec
from pacx_export.attribution import captum_methods
from pacx_export.graphs import Classifier, graphs
from pacx_export.weights import bundle_classifier


class TorchEngine:
    """Answers as a bundle's graphs would, from a classifier whose weights may be changed."""

    name = "torch"
    precision: Precision = "f32"
    device = "cpu"

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._graphs = {str(graph.name): graph for graph in graphs(classifier)}

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph; see :class:`pacx.engines.protocol.Engine`."""
        if graph not in self._graphs:
            raise EngineError(f"There is no graph {graph}.")
        with torch.enable_grad():
            return self._graphs[graph].answers(inputs)

    def close(self) -> None:
        """Nothing to free."""


class BundleTorchEngine(GraphEngine):
    """The same for a bundle, with its weights and behind its checks.

    It brings captum's methods of explanation. Core finds it by its entry point.
    """

    name = TorchEngine.name

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = TorchEngine.device,
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> None:
        """Read the bundle's weights.

        Args:
            bundle: Whose weights to run.
            device: ``cpu``.
            precision: ``f32``.
            threads: Of torch in the whole process; None leaves them as they are.

        Raises:
            EngineUnavailable: Another device or precision.
        """
        if (device, precision or TorchEngine.precision) != ("cpu", "f32"):
            raise EngineUnavailable("The engine torch has the device cpu and the precision f32.")
        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = TorchEngine(bundle_classifier(bundle))
        self.explanations = captum_methods(self._torch.classifier)
        super().__init__(bundle, precision=TorchEngine.precision, device=device)

    def load(self, spec: GraphSpec) -> Runner:
        """Find the module of a graph."""
        name = graph_name(self.bundle, spec)
        return lambda inputs: self._torch.run(name, inputs)
