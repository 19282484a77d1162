"""Subjects with torch weights: training runs, published checkpoints and random weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pacx.errors import SubjectError
from pacx.manifest import Provenance
from pacx.preprocessing import PreprocessingSpec
from pacx_evaluation.subjects.encoder import (
    Embeddings,
    Kind,
    LocalEncoder,
    file_sha256,
    identity_of,
)
from pacx_training.checkpoint_input import checkpoint_input
from pacx_training.checkpoints import import_encoder
from pacx_training.encoder import EncoderConfig, VisionTransformer, initialise
from pacx_training.runs import RunDirectory, default_device


def from_run(folder: Path, name: str) -> LocalEncoder:
    """The encoder of a run folder.

    Raises:
        CheckpointError: Files are missing, damaged or disagree.
    """
    run = RunDirectory(folder)
    encoder = run.load_encoder()
    sha256 = file_sha256(folder / "model.safetensors")
    story = run.load_provenance() if (folder / "provenance.json").is_file() else None
    return _local(encoder, name, "run", sha256, provenance=story)


def from_checkpoint(path: Path, name: str) -> LocalEncoder:
    """A timm, MAE, DINOv2 or stage-1 checkpoint, told by its keys.

    Raises:
        CheckpointError: It cannot be read or is no ViT.
        SubjectError: What lies beside it states no usable normalisation.
    """
    encoder = import_encoder(path).eval()
    spec = checkpoint_input(path, encoder.config.image_size)
    return _local(encoder, name, "checkpoint", file_sha256(path), spec=spec)


def random_weights(architecture: str, name: str, seed: int) -> LocalEncoder:
    """Untrained weights: what the architecture and the probe achieve by themselves.

    Raises:
        SubjectError: timm knows no such architecture.
    """
    try:
        config = EncoderConfig.named(architecture)
    except ValueError as error:
        raise SubjectError(f"Random weights: {error}.") from error
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = VisionTransformer(config)
        initialise(encoder)
    facts = f"{architecture} seed {seed}"
    digest = hashlib.sha256(f"{facts} torch {torch.__version__}".encode()).hexdigest()
    return _local(encoder.eval(), name, "random", digest, f"Untrained {facts}.")


def _local(
    encoder: VisionTransformer,
    name: str,
    kind: Kind,
    sha256: str,
    description: str = "",
    provenance: Provenance | None = None,
    spec: PreprocessingSpec | None = None,
) -> LocalEncoder:
    device = default_device()
    frozen = encoder.to(device).requires_grad_(False)
    spec = spec or PreprocessingSpec(size=encoder.config.image_size)

    def run(pixels: NDArray[np.float32]) -> Embeddings:
        with torch.inference_mode():
            found: Embeddings = frozen(torch.from_numpy(pixels).to(device)).cls.cpu().numpy()
        return found

    def network() -> VisionTransformer:
        copy = VisionTransformer(encoder.config)
        copy.load_state_dict(frozen.state_dict())
        return copy.eval()

    identity = identity_of(
        name,
        kind,
        sha256,
        spec,
        engine=f"torch {device.type} f32",
        description=description,
        provenance=provenance,
    )
    return LocalEncoder(identity=identity, spec=spec, run=run, network=network)
