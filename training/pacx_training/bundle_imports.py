"""From a bundle back to a run, so that heads can be added to a model that one was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pacx.bundle import HEADS, Bundle
from pacx.manifest import HeadSpec, NoveltySpec
from pacx.novelty import MEAN, WHITENING
from pacx_training.anatomy_files import save_anatomy
from pacx_training.bundle_weights import bundle_decoder, bundle_network
from pacx_training.novelty import FittedNovelty, save_novelty
from pacx_training.provenance import extended
from pacx_training.runs import RunDirectory, TrainedHead

Arrays = Mapping[str, NDArray[np.float32]]


def import_bundle(bundle: Bundle, output: Path) -> None:
    """Write a run with all that a bundle has learnt; its encoder was rounded to float16.

    Args:
        bundle: Opened, so that every file fits its manifest.
        output: Run folder to write.

    Raises:
        CheckpointError: Its weights are not those of an encoder and heads of ours, or the folder
            is a run with heads.
    """
    run, manifest = RunDirectory(output), bundle.manifest
    arrays = load_file(bundle.path(HEADS))
    run.require_unfitted()
    run.save_encoder(bundle_network(bundle))
    run.save_heads(_head(spec, arrays) for spec in manifest.heads)
    if manifest.novelty is not None:
        save_novelty(run, _novelty(manifest.novelty, arrays))
    decoder = bundle_decoder(bundle)
    if manifest.anatomy is not None and decoder is not None:
        save_anatomy(run, decoder, manifest.anatomy)
    step = f"pacx import {manifest.name} {manifest.version}"
    run.save_provenance(extended(manifest.provenance, step, ()))
    run.save_environment()


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {k.removeprefix(prefix): array for k, array in arrays.items() if k.startswith(prefix)}


def _head(spec: HeadSpec, arrays: Arrays) -> TrainedHead:
    own = _below(f"heads.{spec.name}.", arrays)
    return TrainedHead(
        spec=spec,
        weight=own["weight"],
        bias=own["bias"],
        hidden_weight=own.get("hidden.weight"),
        hidden_bias=own.get("hidden.bias"),
    )


def _novelty(spec: NoveltySpec, arrays: Arrays) -> FittedNovelty:
    return FittedNovelty(spec=spec, mean=arrays[MEAN], whitening=arrays[WHITENING])
