"""A run and a bundle that are made in seconds, for tests: a tiny encoder with heads that decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pacx.engines.parity import LIMITS
from pacx.manifest import FindingSpec, HeadSpec, Provenance, Source
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.runs import RunDirectory, TrainedHead

LABELS = ("Pneumonia", "Effusion", "Edema")
INTEGER_LIMITS = replace(LIMITS["int8"], rollout=0.1, last_layer=0.2, decisions=0.02)
"""What integer variants of random weights ask for, whose attention is all but flat."""
TINY = EncoderConfig(
    image_size=32,
    patch_size=8,
    embed_dim=32,
    depth=2,
    num_heads=2,
    position_embedding="learned",
)


def write_run(path: Path, config: EncoderConfig = TINY, *, simulated: bool = False) -> RunDirectory:
    """Write a run folder: random weights of the spread that training leaves, seeded."""
    torch.manual_seed(0)
    encoder = VisionTransformer(config)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    run = RunDirectory(path)
    run.save_encoder(encoder)
    run.save_heads([_head(config.embed_dim, simulated=simulated)])
    run.save_provenance(_provenance())
    run.save_environment()
    return run


def _head(width: int, *, simulated: bool) -> TrainedHead:
    generator = np.random.default_rng(0)
    findings = tuple(
        FindingSpec(
            label=label,
            group="radiology",
            threshold=0.4,
            temperature=1.5,
            calibrated=True,
            simulated=simulated,
            training_positives=6,
            training_films=12,
        )
        for label in LABELS
    )
    return TrainedHead(
        spec=HeadSpec(name="findings", findings=findings),
        weight=generator.normal(0, 0.3, (len(LABELS), width)).astype(np.float32),
        bias=generator.normal(0, 0.3, len(LABELS)).astype(np.float32),
    )


def _provenance() -> Provenance:
    return Provenance(
        initialisation="Random numbers, for tests.",
        sources=(
            Source(
                name="Phantoms",
                use="nothing but tests",
                films=12,
                patients=12,
                licence="CC0",
                citation="none",
            ),
        ),
        steps=("written by a test",),
        limitations=("It knows nothing.",),
    )
