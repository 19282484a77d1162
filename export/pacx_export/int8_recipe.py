"""What a recipe for integer graphs is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pacx.engines.protocol import Tensor


class Recipe(Protocol):
    """Turns one graph into integers."""

    __name__: str

    def __call__(self, source: Path, target: Path, pixel_values: Tensor) -> None:
        """Write the integer graph.

        Args:
            source: The graph with its weights inside, all float32.
            target: Where to write, as ONNX; another format takes its own suffix.
            pixel_values: float32 ``[M, 3, S, S]``, to take ranges of activations from.
        """
