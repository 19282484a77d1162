"""Whether ``config.json``, by which timm builds the encoder, says what the manifest says."""

from __future__ import annotations

import json

from pacx.bundle import Bundle

HUB_CONFIG = "config.json"
_PREPARED = ("input_size", "mean", "std")


def contradictions(bundle: Bundle) -> tuple[str, ...]:
    """Fields in which it differs from the manifest, such as ``pretrained_cfg.mean``.

    ``whole`` where it is no JSON object.
    """
    try:
        told = json.loads(bundle.path(HUB_CONFIG).read_bytes())
        prepared = told["pretrained_cfg"]
        found = {name: told.get(name) for name in ("architecture", "num_features")}
        found |= {f"pretrained_cfg.{name}": prepared.get(name) for name in _PREPARED}
    except (ValueError, LookupError, TypeError, AttributeError):
        return ("whole",)
    spec, encoder = bundle.manifest.input, bundle.manifest.encoder
    wanted = {
        "architecture": encoder.architecture,
        "num_features": encoder.embedding_dimension,
        "pretrained_cfg.input_size": [3, spec.size, spec.size],
        "pretrained_cfg.mean": list(spec.mean),
        "pretrained_cfg.std": list(spec.std),
    }
    return tuple(name for name, value in wanted.items() if found[name] != value)
