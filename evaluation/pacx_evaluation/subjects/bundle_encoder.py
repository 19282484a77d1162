"""A bundle on one of this machine's engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import pacx.model
from pacx_evaluation.subjects.encoder import Embeddings, LocalEncoder, identity_of

if TYPE_CHECKING:
    from pacx_training.encoder import VisionTransformer


def from_bundle(directory: Path, name: str, *, engine: str = "auto") -> LocalEncoder:
    """Open a bundle, checks and all.

    Raises:
        BundleError: It is missing, damaged or inconsistent.
        EngineUnavailable: The engine is not there.
        ExtraMissing: The engine's package is not installed.
    """
    model = pacx.model.load(directory, engine=engine)
    manifest = model.manifest

    def run(pixels: NDArray[np.float32]) -> Embeddings:
        return model.engine.run("encode", {"pixel_values": pixels})["embedding"]

    def network() -> VisionTransformer:
        from pacx_training.bundle_weights import bundle_network  # imports torch

        return bundle_network(model.bundle)

    identity = identity_of(
        name,
        "bundle",
        model.sha256,
        model.spec,
        engine=f"{model.engine.name} {model.engine.device} {model.engine.precision}",
        provenance=manifest.provenance,
    )
    facts = {"simulated_physiology": manifest.simulated_physiology, "licence": manifest.licence}
    identity = identity.model_copy(update=facts)
    return LocalEncoder(
        identity=identity, spec=model.spec, run=run, bundle=model.bundle, network=network
    )
