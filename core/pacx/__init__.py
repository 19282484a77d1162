"""Chest X-ray embeddings, findings and attention maps from a PaCX bundle.

>>> import pacx
>>> model = pacx.load()                      # doctest: +SKIP
>>> model.predict("chest.dcm").findings      # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pacx.errors import InputError, PacxError
    from pacx.model import Model, load
    from pacx.radiograph import ImageWarning, Radiograph
    from pacx.reading import ReadingLimits, ReadingOptions, read
    from pacx.results import Explanation, Prediction

__all__ = [
    "Explanation",
    "ImageWarning",
    "InputError",
    "Model",
    "PacxError",
    "Prediction",
    "Radiograph",
    "ReadingLimits",
    "ReadingOptions",
    "load",
    "read",
]

# Imported when first asked for, so that `import pacx` alone costs no codec and no engine.
_HOMES = {
    "Explanation": "pacx.results",
    "ImageWarning": "pacx.radiograph",
    "InputError": "pacx.errors",
    "Model": "pacx.model",
    "PacxError": "pacx.errors",
    "Prediction": "pacx.results",
    "Radiograph": "pacx.radiograph",
    "ReadingLimits": "pacx.reading",
    "ReadingOptions": "pacx.reading",
    "load": "pacx.model",
    "read": "pacx.reading",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module 'pacx' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
