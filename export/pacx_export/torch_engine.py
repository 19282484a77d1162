"""An engine for research: the modules that become graphs, run by torch itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError
from pacx_export.graphs import Classifier, graphs
from pacx_export.reference import answers


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
            return answers(self._graphs[graph], inputs)

    def close(self) -> None:
        """Nothing to free."""
