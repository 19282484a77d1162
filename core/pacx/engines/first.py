"""Several engines as one: every graph runs on the first of them that gets it right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pacx.engines.protocol import Tensor
from pacx.engines.replay import GatedEngine, GraphReport


class FirstEngine:
    """What ``auto`` means; name, precision and device are those of the first engine.

    Args:
        engines: At least one, the fastest first; each replays the bundle's reference vectors.
    """

    def __init__(self, engines: Sequence[GatedEngine]) -> None:
        self._engines = tuple(engines)
        self.name = engines[0].name
        self.precision = engines[0].precision
        self.device = engines[0].device

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph; see :class:`pacx.engines.protocol.Engine`.

        Raises:
            EngineUnavailable: No engine here gets the graph right.
        """
        return self._choose(graph).run(graph, inputs)

    def report(self, graph: str) -> GraphReport:
        """What the replay found on the engine that runs this graph."""
        return self._choose(graph).report(graph)

    def close(self) -> None:
        """Free what the engines hold; later calls of ``run`` fail."""
        for engine in self._engines:
            engine.close()

    def _choose(self, graph: str) -> GatedEngine:
        offering = (engine for engine in self._engines if engine.offers(graph))
        return next(offering, self._engines[0])
